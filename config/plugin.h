/* config/plugin.h - plugins as a configuration names them: found, checked against the ABI, configured.
 *
 * One that is built in is found by its name; a shared object is opened by whoever registered for that (floor 6 does, which
 * alone knows dlopen). A plugin stays for the life of the process. */
#ifndef SHEAF_CONFIG_PLUGIN_H
#define SHEAF_CONFIG_PLUGIN_H

#include "config/keys.h"
#include "gateway/base/error.h"
#include "plugins/sheaf_plugin.h"

#define SHEAF_PLUGINS_MAX        256 /* in one configuration, all places together */
#define SHEAF_PLUGIN_NAME_MAX    64
#define SHEAF_PLUGIN_COUNTERS    16
#define SHEAF_PLUGIN_SHARED_MAX  (1u << 30)
#define SHEAF_PLUGINS_SHARED_MAX 64 /* that share memory */

/* One plugin with its values: opened once in every worker, however many places name it. */
typedef struct sheaf_plugin_conf {
    sheaf_mark_t mark;
    sheaf_str_t name; /* of 1 to 64 of A-Z, a-z, 0-9, `_`, `-`, `.` and `@`; no other in the configuration has it */
    const sheaf_plugin_t *plugin;
    const sheaf_p_value_t *values; /* in the order of its keys */
    uint64_t shared_bytes;
    uint32_t number;    /* among all of the configuration, from 0 */
    bool is_everywhere; /* at the top level, and not only defined there */
    bool is_named;      /* at an endpoint or a route */
} sheaf_plugin_conf_t;

/* Those that are built in; ends with NULL. Made by CMake from the folders in plugins/. */
extern const sheaf_plugin_t *const sheaf_plugins_built_in[];

/* Who opens a shared object: returns its `sheaf_plugin`, or NULL and why not. `path` is as written in the configuration. */
typedef const sheaf_plugin_t *(*sheaf_plugin_opener_t)(const char *path, sheaf_fail_t *fail);
void sheaf_plugin_register(sheaf_plugin_opener_t opener);

/* The plugin of that name, or of that file; NULL and a sentence (with the name that was probably meant). */
const sheaf_plugin_t *sheaf_plugin_built_in(sheaf_str_t name, sheaf_fail_t *fail);
const sheaf_plugin_t *sheaf_plugin_of_file(sheaf_str_t path, sheaf_fail_t *fail);

/* Can this Sheaf run it? Its version of the ABI, its name, its keys and counters. */
sheaf_err_t sheaf_plugin_check(const sheaf_plugin_t *plugin, sheaf_fail_t *fail);

/* The constant of a plugin that was built with the header of another minor version, as one of `size` bytes: what it has not is 0,
 * what is beyond is left out. */
void sheaf_plugin_widen(const sheaf_plugin_t *plugin, void *ret_wide, size_t size);

#endif
