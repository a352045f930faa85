#include "redis_question.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void redis_script_init(redis_script_t *script, const char *text)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};

    script->text = text;
    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL); /* what Redis knows scripts by */
    for (int i = 0; i < REDIS_SHA_LEN / 2; i++)
        snprintf(script->sha + 2 * i, 3, "%02x", digest[i]);
}

void redis_question_begin(redis_question_t *question, const redis_script_t *script)
{
    question->script = script;
    question->keys = question->count = 0;
    question->is_cut = false;
    question->used = 0;
}

void redis_question_word(redis_question_t *question, sheaf_p_str_t word)
{
    if (question->count == REDIS_WORDS_MAX)
        question->is_cut = true;
    else
        question->words[question->count++] = word;
}

static void print(redis_question_t *question, const char *format, va_list args)
{
    char *at = question->room + question->used;
    const size_t room = REDIS_ROOM_MAX - question->used;
    const int len = vsnprintf(at, room, format, args);

    if (len < 0 || (size_t)len >= room) {
        question->is_cut = true;
        return;
    }
    question->used += (size_t)len;
    redis_question_word(question, sheaf_p_str(at, (size_t)len));
}

void redis_question_print(redis_question_t *question, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print(question, format, args);
    va_end(args);
}

void redis_question_key(redis_question_t *question, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print(question, format, args);
    va_end(args);
    question->keys = question->count;
}

size_t redis_question_bytes(const redis_question_t *question)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < question->count; i++)
        bytes += question->words[i].len;
    return bytes;
}
