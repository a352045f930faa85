/* codec/describe.h - what an endpoint takes and gives, for the client that asks with OPTIONS. */
#ifndef SHEAF_CODEC_DESCRIBE_H
#define SHEAF_CODEC_DESCRIBE_H

#include "gateway/codec/codec.h"

/* Appends a JSON document: path, kind, dialect; media types of requests and responses; limits (bytes, milliseconds,
 * counts); and what goes where a batch does not say. */
void sheaf_describe_write(const sheaf_endpoint_conf_t *endpoint, sheaf_out_t *out);

/* The same for the endpoints at `path`, of which there are some: the document of the one, or an array of all. */
void sheaf_describe_path(const sheaf_snapshot_t *snapshot, sheaf_str_t path, sheaf_out_t *out);

#endif
