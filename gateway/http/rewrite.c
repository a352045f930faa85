/* The rewriting half of router.h: a template whose parameters are places in a match. */
#include "gateway/http/router.h"
#include "gateway/http/template.h"

typedef struct piece {
    sheaf_str_t literal; /* goes before the value, slashes included */
    uint32_t param;      /* NO_PARAM: the literal alone */
} piece_t;

#define NO_PARAM UINT32_MAX

struct sheaf_rewrite {
    uint32_t count;
    piece_t pieces[SHEAF_ROUTER_MAX_PARAMS + 1];
};

/* Place of `name` among the parameters of `match`. */
static uint32_t find_param(const sheaf_template_t *match, sheaf_str_t name, bool *ret_is_rest)
{
    uint32_t place = 0;

    for (uint32_t i = 0; i < match->count; i++) {
        const sheaf_template_segment_t *segment = &match->segments[i];

        if (segment->kind == SHEAF_SEGMENT_LITERAL)
            continue;
        *ret_is_rest = segment->kind == SHEAF_SEGMENT_REST;
        if (sheaf_str_eq(segment->text, name))
            return place;
        place++;
    }
    return NO_PARAM;
}

/* Ends the piece that `bytes` was gathered for. */
static void close_piece(sheaf_rewrite_t *rewrite, sheaf_pool_t *pool, sheaf_str_t *bytes, uint32_t param)
{
    rewrite->pieces[rewrite->count++] = (piece_t){sheaf_pool_dup(pool, *bytes), param};
    bytes->len = 0;
}

static sheaf_err_t compile(sheaf_rewrite_t *rewrite, sheaf_pool_t *pool, const sheaf_template_t *match,
                           const sheaf_template_t *target, char *room, sheaf_fail_t *fail)
{
    sheaf_str_t bytes = {room, 0};

    for (uint32_t i = 0; i < target->count; i++) {
        const sheaf_template_segment_t *segment = &target->segments[i];
        bool is_rest = false;
        uint32_t param;

        room[bytes.len++] = '/';
        if (segment->kind == SHEAF_SEGMENT_LITERAL) {
            if (segment->text.len > 0)
                memcpy(room + bytes.len, segment->text.base, segment->text.len);
            bytes.len += segment->text.len;
            continue;
        }
        param = find_param(match, segment->text, &is_rest);
        if (param == NO_PARAM)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "rewrite names {%.*s}, which match has not",
                              SHEAF_STR_ARG(segment->text));
        if (segment->kind == SHEAF_SEGMENT_REST && !is_rest)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "{%.*s} is one segment in match, not a rest",
                              SHEAF_STR_ARG(segment->text));
        close_piece(rewrite, pool, &bytes, param);
    }
    close_piece(rewrite, pool, &bytes, NO_PARAM);
    return SHEAF_OK;
}

static size_t literal_room(const sheaf_template_t *target)
{
    size_t room = target->count;

    for (uint32_t i = 0; i < target->count; i++)
        room += target->segments[i].text.len;
    return room;
}

sheaf_err_t sheaf_rewrite_new(sheaf_pool_t *pool, sheaf_str_t match, sheaf_str_t rewrite, sheaf_rewrite_t **ret_rewrite,
                              sheaf_fail_t *fail)
{
    sheaf_template_t from, to;
    sheaf_rewrite_t *made;
    sheaf_err_t err = sheaf_template_parse(pool, match, &from, fail);

    if (err == SHEAF_OK)
        err = sheaf_template_parse(pool, rewrite, &to, fail);
    if (err != SHEAF_OK)
        return err;
    if (to.count > 1 && to.segments[0].kind == SHEAF_SEGMENT_LITERAL && to.segments[0].text.len == 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "a rewrite must not begin with //");
    made = sheaf_pool_zalloc(pool, sizeof(*made));
    err = compile(made, pool, &from, &to, sheaf_pool_alloc(pool, literal_room(&to) + 1), fail);
    if (err == SHEAF_OK)
        *ret_rewrite = made;
    return err;
}

/* A target must not begin with "//", which some servers read as a host: "/{rest...}" applied to a rest "/evil". */
static sheaf_str_t without_double_slash(sheaf_str_t target)
{
    while (target.len > 1 && target.base[1] == '/')
        target = sheaf_str(target.base + 1, target.len - 1);
    return target;
}

static char *append(char *at, sheaf_str_t text)
{
    if (text.len > 0)
        memcpy(at, text.base, text.len);
    return at + text.len;
}

sheaf_str_t sheaf_rewrite_apply(const sheaf_rewrite_t *rewrite, const sheaf_match_t *match, sheaf_pool_t *pool)
{
    size_t len = 0;
    char *target, *at;

    for (uint32_t i = 0; i < rewrite->count; i++) {
        const piece_t *piece = &rewrite->pieces[i];

        len += piece->literal.len + (piece->param != NO_PARAM ? match->params[piece->param].len : 0);
    }
    target = at = sheaf_pool_alloc(pool, len + 1);
    for (uint32_t i = 0; i < rewrite->count; i++) {
        at = append(at, rewrite->pieces[i].literal);
        if (rewrite->pieces[i].param != NO_PARAM)
            at = append(at, match->params[rewrite->pieces[i].param]);
    }
    return without_double_slash(sheaf_str(target, len));
}
