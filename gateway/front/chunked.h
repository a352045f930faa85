/* front/chunked.h - chunked framing of streamed HTTP/1.1 answers.
 *
 * libh2o 2.2.5 frames only answers with status 200: any other of unknown length, a 207 too, it ends by closing the
 * connection. This filter stands before libh2o's own and ends the chain, so the connection lives on. */
#ifndef SHEAF_FRONT_CHUNKED_H
#define SHEAF_FRONT_CHUNKED_H

#include "gateway/front/h2o.h"

void sheaf_chunked_register(h2o_pathconf_t *path);

#endif
