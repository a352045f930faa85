/* config/plugin_text.h - texts with ${...} of plugins: what may stand in them.
 *
 *   ${client_ip} ${path} ...      a text of sheaf_p_text_t, in lower case
 *   ${status} ${elapsed_us} ...   a number of sheaf_p_number_t, in lower case
 *   ${header.NAME}                a field of the client's request; question.NAME, result.NAME, reply.NAME of the others
 *   ${attr.NAME}                  an attribute
 *   $${                           a literal ${ */
#ifndef SHEAF_CONFIG_PLUGIN_TEXT_H
#define SHEAF_CONFIG_PLUGIN_TEXT_H

#include "gateway/base/error.h"
#include "plugins/sheaf_plugin.h"

typedef enum sheaf_piece_kind {
    SHEAF_PIECE_LITERAL,
    SHEAF_PIECE_TEXT,
    SHEAF_PIECE_NUMBER,
    SHEAF_PIECE_HEADER,
    SHEAF_PIECE_ATTRIBUTE,
} sheaf_piece_kind_t;

typedef struct sheaf_piece {
    sheaf_piece_kind_t kind;
    sheaf_str_t text; /* the literal, or NAME */
    uint32_t what;    /* of TEXT, NUMBER; the part of HEADER */
} sheaf_piece_t;

/* Takes the next piece off `*rest`; false when nothing is left, or what comes is none (`fail` says why then, and `*rest` is
 * not empty). */
bool sheaf_plugin_text_next(sheaf_str_t *rest, sheaf_piece_t *ret_piece, sheaf_fail_t *fail);

/* Is all of it good? */
sheaf_err_t sheaf_plugin_text_check(sheaf_str_t text, sheaf_fail_t *fail);

#endif
