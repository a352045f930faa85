/* redis_question.h - a script in Redis, and what it is asked: the words of one command, keys first.
 *
 *   begin -> key* -> (word | print)* -> redis_conn_ask
 *
 * Words are bytes, of any value. What does not fit makes the whole question one that is not asked (is_cut). */
#ifndef REDIS_QUESTION_H
#define REDIS_QUESTION_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define REDIS_SHA_LEN   40
#define REDIS_WORDS_MAX 48
#define REDIS_ROOM_MAX  4096 /* of what is printed */

typedef struct redis_script {
    const char *text;
    char sha[REDIS_SHA_LEN + 1];
} redis_script_t;

/* `text` is borrowed for as long as the script is asked. */
void redis_script_init(redis_script_t *script, const char *text);

typedef struct redis_question {
    const redis_script_t *script;
    uint32_t keys, count;
    sheaf_p_str_t words[REDIS_WORDS_MAX];
    bool is_cut;
    size_t used;
    char room[REDIS_ROOM_MAX];
} redis_question_t;

void redis_question_begin(redis_question_t *question, const redis_script_t *script);
void redis_question_key(redis_question_t *question, const char *format, ...) __attribute__((format(printf, 2, 3)));
void redis_question_print(redis_question_t *question, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `word` is borrowed until the question is asked. */
void redis_question_word(redis_question_t *question, sheaf_p_str_t word);

/* Bytes of all words together. */
size_t redis_question_bytes(const redis_question_t *question);

#endif
