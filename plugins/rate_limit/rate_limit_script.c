#include "rate_limit_script.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>

/* KEYS: one per limit. ARGV: cost, then of each limit: sliding (1 or 0), rate, period in microseconds, burst.
 * Returns {allowed, retry_ms, remaining, reset_ms, remaining, reset_ms, ...}; retry_ms -1: never.
 * The arithmetic of rate_limit_math.c, in microseconds. */
const char rate_limit_script[] =
    "local t = redis.call('TIME')\n"
    "local now, cost = t[1] * 1000000 + t[2], tonumber(ARGV[1])\n"
    "local ok, retry, out, sets, charged = 1, 0, {}, {}, {}\n"
    "local function refuse(us)\n"
    "  ok = 0\n"
    "  if us < 0 or retry < 0 then retry = -1 else retry = math.max(retry, math.ceil(us / 1000)) end\n"
    "end\n"
    "local function say(is_charged, remaining, reset_us)\n"
    "  charged[#charged + 1] = is_charged and cost or 0\n"
    "  out[#out + 1] = math.max(0, math.floor(remaining))\n"
    "  out[#out + 1] = math.ceil(reset_us / 1000)\n"
    "end\n"
    "local function keep(set)\n"
    "  redis.call('SET', set[1], set[2], 'PX', string.format('%.0f', math.ceil(set[3] / 1000) + 1000))\n"
    "end\n"
    "local function bucket(key, rate, period, burst)\n"
    "  local token = period / rate\n"
    "  local all, is_charged = burst * token, false\n"
    "  local was = (tonumber(redis.call('GET', key) or '') or 0) - now\n"
    "  local debt = math.min(all, math.max(0, was))\n"
    "  if was > all + 1000 then keep({key, string.format('%.3f', now + debt), debt}) end\n"
    "  if cost > burst then refuse(-1)\n"
    "  elseif debt + cost * token > all + 0.5 then refuse(debt + cost * token - all)\n"
    "  else debt, is_charged = debt + cost * token, true end\n"
    "  sets[#sets + 1] = {key, string.format('%.3f', now + debt), debt}\n"
    "  say(is_charged, (all - debt) / token + 0.001, debt)\n"
    "end\n"
    "local function slid(used, fits, period)\n"
    "  if used <= fits then return 0 end\n"
    "  return (used - fits) * period / used\n"
    "end\n"
    "local function window(key, rate, period)\n"
    "  local number, elapsed = math.floor(now / period), now % period\n"
    "  local was, cur, before = string.match(redis.call('GET', key) or '', '^(%d+):(%d+):(%d+)$')\n"
    "  was, cur, before = tonumber(was or -2), tonumber(cur or 0), tonumber(before or 0)\n"
    "  if was == number + 1 then number, elapsed = was, 0\n"
    "  elseif was == number - 1 then cur, before = 0, cur\n"
    "  elseif was ~= number then cur, before = 0, 0 end\n"
    "  local used, room = cur + math.ceil(before * (period - elapsed) / period), rate - cost\n"
    "  local is_charged = room >= 0 and used <= room\n"
    "  if room < 0 then refuse(-1)\n"
    "  elseif is_charged then cur, used = cur + cost, used + cost\n"
    "  elseif cur > room then refuse(period - elapsed + slid(cur, room, period))\n"
    "  else refuse(slid(before, room - cur, period) - elapsed) end\n"
    "  local reset = cur > 0 and 2 * period - elapsed or before > 0 and period - elapsed or 0\n"
    "  sets[#sets + 1] = {key, string.format('%.0f:%.0f:%.0f', number, cur, before), reset}\n"
    "  say(is_charged, rate - used, reset)\n"
    "end\n"
    "for i = 1, #KEYS do\n"
    "  local a = 4 * i - 2\n"
    "  local rate, period, burst = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])\n"
    "  if ARGV[a] == '1' then window(KEYS[i], rate, period) else bucket(KEYS[i], rate, period, burst) end\n"
    "end\n"
    "if ok == 1 then\n"
    "  for _, set in ipairs(sets) do keep(set) end\n"
    "end\n"
    "for i = 1, #charged do out[2 * i - 1] = out[2 * i - 1] + (ok == 0 and charged[i] or 0) end\n"
    "return {ok, retry, unpack(out)}\n";

void rate_limit_question(const redis_script_t *script, const char *prefix, const uint64_t hash[2],
                         const rate_limit_rule_t *rules, uint32_t rule_count, uint64_t cost,
                         redis_question_t *ret_question)
{
    redis_question_t *question = ret_question;

    redis_question_begin(question, script);
    for (uint32_t i = 0; i < rule_count; i++)
        redis_question_key(question, "%s{%016" PRIx64 "%016" PRIx64 "}%u", prefix, hash[0], hash[1], i);
    redis_question_print(question, "%" PRIu64, cost);
    for (uint32_t i = 0; i < rule_count; i++) {
        redis_question_print(question, "%d", rules[i].is_sliding);
        redis_question_print(question, "%" PRIu64, rules[i].rate);
        redis_question_print(question, "%" PRIu64, rules[i].period_ms * 1000);
        redis_question_print(question, "%" PRIu64, rules[i].burst);
    }
}

static bool is_integer_list(const redisReply *reply, size_t count)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    return true;
}

static uint64_t at_least_0(const redisReply *reply)
{
    return reply->integer < 0 ? 0 : (uint64_t)reply->integer;
}

bool rate_limit_reply_read(const redisReply *reply, uint32_t rule_count, rate_limit_outcome_t *ret_outcome)
{
    if (!is_integer_list(reply, 2 + 2 * (size_t)rule_count))
        return false;
    *ret_outcome = (rate_limit_outcome_t){.is_allowed = reply->element[0]->integer == 1};
    ret_outcome->retry_ms = reply->element[1]->integer < 0 ? RATE_LIMIT_NEVER : at_least_0(reply->element[1]);
    for (uint32_t i = 0; i < rule_count; i++) {
        ret_outcome->verdicts[i].remaining = at_least_0(reply->element[2 + 2 * i]);
        ret_outcome->verdicts[i].reset_ms = at_least_0(reply->element[3 + 2 * i]);
    }
    return true;
}
