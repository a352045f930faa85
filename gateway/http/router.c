/* A tree with one level per segment. All literal edges live in one hash table keyed by (parent, segment), so a step
 * costs one probe and one look at the child, however many siblings there are; a node is one cache line and holds its
 * segment's text as well, as long as that is short.
 *
 * Backtracking is bounded: a path leads to a node in one way only, because this is a tree, so a lookup visits no node
 * twice and its work is linear in the number of templates at the very worst. Branches that are too shallow or too deep
 * for the path are not entered at all. */
#include "gateway/http/router.h"

#include "gateway/http/template.h"

#define NO_NODE     0 /* the root is never a child */
#define NO_LEAF     UINT32_MAX
#define NODE_INLINE 32
#define ANY_DEPTH   UINT8_MAX

typedef struct node {
    uint32_t parent;
    uint32_t hash;
    uint32_t param;    /* child for any non-empty segment */
    uint32_t leaf;     /* template that ends here */
    uint32_t rest;     /* template whose rest begins here */
    uint32_t literals; /* number of literal children */
    uint8_t params;    /* parameters on the way here */
    uint8_t deepest;   /* segments below at most; ANY_DEPTH when there is a rest */
    uint8_t nearest;   /* segments below at least */
    uint32_t name_len;
    union {
        char bytes[NODE_INLINE];
        const char *far;
    } name;
} node_t;

_Static_assert(sizeof(node_t) == 64, "a node is one cache line");

typedef struct allowed {
    struct allowed *next;
    sheaf_str_t method;
    uint32_t route;
    bool is_implied; /* HEAD by way of GET: gives way to a route that says HEAD */
} allowed_t;

typedef struct leaf {
    uint32_t any_route; /* SHEAF_NO_ROUTE unless a route takes all methods */
    allowed_t *methods; /* sorted by name */
    sheaf_str_t allow;
} leaf_t;

typedef struct slot {
    uint32_t hash;
    uint32_t child; /* NO_NODE: empty */
} slot_t;

struct sheaf_router {
    sheaf_pool_t *pool;
    node_t *nodes;
    leaf_t *leaves;
    slot_t *slots;
    uint32_t node_count, node_size;
    uint32_t leaf_count, leaf_size;
    uint32_t slot_count, slot_size; /* size: a power of two, at least twice the count */
    bool is_built;
};

/* --- hashing: eight bytes a step, in the manner of wyhash; the table is filled from the configuration, not by clients,
 * so it needs to be quick and even, not secret --- */

#define MIX 0x9e3779b97f4a7c15u

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ MIX) * (b ^ 0xe7037ed1a0b428dbu);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *bytes, size_t len)
{
    uint64_t word = 0;

    memcpy(&word, bytes, len);
    return word;
}

static uint64_t load_tail(const char *bytes, size_t len)
{
    if (len >= 4)
        return load(bytes, 4) << 32 | load(bytes + len - 4, 4);
    if (len == 0)
        return 0;
    return (uint64_t)(uint8_t)bytes[0] << 16 | (uint64_t)(uint8_t)bytes[len >> 1] << 8 | (uint8_t)bytes[len - 1];
}

static uint64_t hash_segment(sheaf_str_t segment)
{
    uint64_t hash = segment.len;

    while (segment.len > 8) {
        hash = fold(hash, load(segment.base, 8));
        segment = sheaf_str(segment.base + 8, segment.len - 8);
    }
    return fold(hash, segment.len == 8 ? load(segment.base, 8) : load_tail(segment.base, segment.len));
}

static uint32_t hash_edge(uint32_t parent, uint64_t segment_hash)
{
    uint64_t hash = (segment_hash + parent) * MIX;

    return (uint32_t)(hash >> 32);
}

/* --- nodes and slots --- */

static const char *node_name(const node_t *node)
{
    return node->name_len <= NODE_INLINE ? node->name.bytes : node->name.far;
}

static uint32_t find_literal(const sheaf_router_t *router, uint32_t parent, sheaf_str_t name, uint64_t segment_hash)
{
    uint32_t hash = hash_edge(parent, segment_hash), mask = router->slot_size - 1;

    for (uint32_t at = hash & mask; router->slots[at].child != NO_NODE; at = (at + 1) & mask) {
        const node_t *node = &router->nodes[router->slots[at].child];

        if (router->slots[at].hash == hash && node->parent == parent && node->name_len == name.len &&
            memcmp(node_name(node), name.base, name.len) == 0)
            return router->slots[at].child;
    }
    return NO_NODE;
}

static void place_slot(slot_t *slots, uint32_t size, slot_t slot)
{
    uint32_t at = slot.hash & (size - 1);

    while (slots[at].child != NO_NODE)
        at = (at + 1) & (size - 1);
    slots[at] = slot;
}

static void add_slot(sheaf_router_t *router, uint32_t hash, uint32_t child)
{
    if ((router->slot_count + 1) * 2 > router->slot_size) {
        uint32_t size = router->slot_size * 2;
        slot_t *slots = sheaf_pool_zalloc(router->pool, size * sizeof(*slots));

        for (uint32_t i = 0; i < router->slot_size; i++) {
            if (router->slots[i].child != NO_NODE)
                place_slot(slots, size, router->slots[i]);
        }
        router->slots = slots;
        router->slot_size = size;
    }
    place_slot(router->slots, router->slot_size, (slot_t){hash, child});
    router->slot_count++;
}

/* `count` entries of `size` bytes, each run of 64 bytes on its own cache line. */
static void *aligned_room(sheaf_pool_t *pool, size_t count, size_t size)
{
    uintptr_t room = (uintptr_t)sheaf_pool_alloc(pool, count * size + 63);

    return (void *)((room + 63) & ~(uintptr_t)63);
}

static uint32_t new_node(sheaf_router_t *router, uint32_t parent)
{
    if (router->node_count == router->node_size) {
        uint32_t size = router->node_size * 2;
        node_t *nodes = aligned_room(router->pool, size, sizeof(*nodes));

        memcpy(nodes, router->nodes, router->node_count * sizeof(*nodes));
        router->nodes = nodes;
        router->node_size = size;
    }
    router->nodes[router->node_count] = (node_t){.parent = parent, .leaf = NO_LEAF, .rest = NO_LEAF};
    router->nodes[router->node_count].params = router->nodes[parent].params;
    return router->node_count++;
}

static uint32_t literal_child(sheaf_router_t *router, uint32_t parent, sheaf_str_t name)
{
    uint64_t segment_hash = hash_segment(name);
    uint32_t child = find_literal(router, parent, name, segment_hash);
    node_t *node;

    if (child != NO_NODE)
        return child;
    child = new_node(router, parent);
    node = &router->nodes[child];
    node->hash = hash_edge(parent, segment_hash);
    node->name_len = (uint32_t)name.len;
    if (name.len <= NODE_INLINE)
        memcpy(node->name.bytes, name.base, name.len);
    else
        node->name.far = sheaf_pool_dup(router->pool, name).base;
    router->nodes[parent].literals++;
    add_slot(router, node->hash, child);
    return child;
}

static uint32_t param_child(sheaf_router_t *router, uint32_t parent)
{
    uint32_t child = router->nodes[parent].param;

    if (child != NO_NODE)
        return child;
    child = new_node(router, parent);
    router->nodes[child].params++;
    router->nodes[parent].param = child;
    return child;
}

static uint32_t new_leaf(sheaf_router_t *router)
{
    if (router->leaf_count == router->leaf_size) {
        uint32_t size = router->leaf_size * 2;
        leaf_t *leaves = sheaf_pool_alloc(router->pool, size * sizeof(*leaves));

        memcpy(leaves, router->leaves, router->leaf_count * sizeof(*leaves));
        router->leaves = leaves;
        router->leaf_size = size;
    }
    router->leaves[router->leaf_count] = (leaf_t){.any_route = SHEAF_NO_ROUTE};
    return router->leaf_count++;
}

sheaf_router_t *sheaf_router_new(sheaf_pool_t *pool)
{
    sheaf_router_t *router = sheaf_pool_zalloc(pool, sizeof(*router));

    router->pool = pool;
    router->node_size = 16;
    router->leaf_size = 16;
    router->slot_size = 32;
    router->nodes = aligned_room(pool, router->node_size, sizeof(*router->nodes));
    router->leaves = sheaf_pool_alloc(pool, router->leaf_size * sizeof(*router->leaves));
    router->slots = sheaf_pool_zalloc(pool, router->slot_size * sizeof(*router->slots));
    router->nodes[0] = (node_t){.leaf = NO_LEAF, .rest = NO_LEAF};
    router->node_count = 1;
    return router;
}

/* --- adding --- */

static allowed_t **find_method(leaf_t *leaf, sheaf_str_t method)
{
    allowed_t **at = &leaf->methods;

    while (*at != NULL && !sheaf_str_eq((*at)->method, method))
        at = &(*at)->next;
    return at;
}

/* The route that already answers one of `methods` here, or SHEAF_NO_ROUTE. */
static uint32_t find_clash(leaf_t *leaf, const sheaf_str_t *methods, uint32_t method_count)
{
    if (leaf->any_route != SHEAF_NO_ROUTE)
        return leaf->any_route;
    if (method_count == 0)
        return leaf->methods != NULL ? leaf->methods->route : SHEAF_NO_ROUTE;
    for (uint32_t i = 0; i < method_count; i++) {
        const allowed_t *found = *find_method(leaf, methods[i]);

        if (found != NULL && !found->is_implied)
            return found->route;
    }
    return SHEAF_NO_ROUTE;
}

static int compare(sheaf_str_t a, sheaf_str_t b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.base, b.base, len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static void allow(sheaf_router_t *router, leaf_t *leaf, sheaf_str_t method, uint32_t route, bool is_implied)
{
    allowed_t **at = find_method(leaf, method);

    if (*at != NULL) {
        if ((*at)->is_implied && !is_implied)
            **at = (allowed_t){(*at)->next, (*at)->method, route, false};
        return;
    }
    at = &leaf->methods;
    while (*at != NULL && compare((*at)->method, method) < 0)
        at = &(*at)->next;
    allowed_t *added = sheaf_pool_alloc(router->pool, sizeof(*added));

    *added = (allowed_t){*at, sheaf_pool_dup(router->pool, method), route, is_implied};
    *at = added;
}

/* The leaf slot of a template: at its last node, or where its rest begins. */
static uint32_t *grow_branch(sheaf_router_t *router, const sheaf_template_t *template)
{
    uint32_t node = 0;

    for (uint32_t i = 0; i < template->count; i++) {
        const sheaf_template_segment_t *segment = &template->segments[i];

        if (segment->kind == SHEAF_SEGMENT_REST)
            return &router->nodes[node].rest;
        if (segment->kind == SHEAF_SEGMENT_PARAM)
            node = param_child(router, node);
        else
            node = literal_child(router, node, segment->text);
    }
    return &router->nodes[node].leaf;
}

sheaf_err_t sheaf_router_add(sheaf_router_t *router, uint32_t route, sheaf_str_t match, const sheaf_str_t *methods,
                             uint32_t method_count, uint32_t *ret_clash, sheaf_fail_t *fail)
{
    sheaf_template_t template;
    uint32_t *place;
    sheaf_err_t err;
    leaf_t *leaf;

    SHEAF_ASSERT(!router->is_built);
    *ret_clash = SHEAF_NO_ROUTE;
    err = sheaf_template_parse(router->pool, match, &template, fail);
    if (err != SHEAF_OK)
        return err;
    place = grow_branch(router, &template);
    if (*place == NO_LEAF)
        *place = new_leaf(router);
    leaf = &router->leaves[*place];
    *ret_clash = find_clash(leaf, methods, method_count);
    if (*ret_clash != SHEAF_NO_ROUTE)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "%.*s stands already for the same method", SHEAF_STR_ARG(match));

    if (method_count == 0)
        leaf->any_route = route;
    for (uint32_t i = 0; i < method_count; i++) {
        allow(router, leaf, methods[i], route, false);
        if (sheaf_str_eq(methods[i], SHEAF_STR("GET")))
            allow(router, leaf, SHEAF_STR("HEAD"), route, true);
    }
    return SHEAF_OK;
}

static void write_allow(sheaf_router_t *router, leaf_t *leaf)
{
    for (const allowed_t *at = leaf->methods; at != NULL; at = at->next)
        leaf->allow =
            leaf->allow.base == NULL
                ? at->method
                : sheaf_pool_printf(router->pool, "%.*s, %.*s", SHEAF_STR_ARG(leaf->allow), SHEAF_STR_ARG(at->method));
}

/* Children stand behind their parents in the array, so going backwards meets every child before its parent. */
void sheaf_router_build(sheaf_router_t *router)
{
    for (uint32_t i = 0; i < router->leaf_count; i++)
        write_allow(router, &router->leaves[i]);
    for (uint32_t i = 0; i < router->node_count; i++)
        router->nodes[i].nearest = router->nodes[i].leaf != NO_LEAF ? 0 : ANY_DEPTH;
    for (uint32_t i = router->node_count; i-- > 0;) {
        node_t *node = &router->nodes[i], *parent = &router->nodes[node->parent];

        if (node->rest != NO_LEAF) {
            node->deepest = ANY_DEPTH;
            node->nearest = node->nearest > 1 ? 1 : node->nearest;
        }
        if (i == 0)
            break;
        if (node->deepest >= parent->deepest)
            parent->deepest = node->deepest == ANY_DEPTH ? ANY_DEPTH : (uint8_t)(node->deepest + 1);
        if (node->nearest < parent->nearest)
            parent->nearest = node->nearest + 1 < parent->nearest ? (uint8_t)(node->nearest + 1) : parent->nearest;
    }
    router->is_built = true;
}

/* --- finding --- */

typedef struct walk {
    const sheaf_router_t *router;
    uint32_t count;                                   /* segments of the path; one past the limit when it is longer */
    uint32_t at[SHEAF_TEMPLATE_MAX_SEGMENTS + 2];     /* where each begins; the last one past the end, + 1 */
    uint64_t hashes[SHEAF_TEMPLATE_MAX_SEGMENTS + 1]; /* computed when first asked for */
    uint32_t hashed;
    sheaf_str_t path;
    sheaf_match_t *match;
} walk_t;

static void split_path(walk_t *walk)
{
    const char *path = walk->path.base;
    size_t len = walk->path.len;
    uint32_t count = 0;

    for (size_t i = 0; i < len; i++) {
        if (path[i] != '/')
            continue;
        walk->at[count++] = (uint32_t)i + 1;
        if (count > SHEAF_TEMPLATE_MAX_SEGMENTS)
            break;
    }
    walk->at[count] = (uint32_t)len + 1;
    walk->count = count;
}

static sheaf_str_t segment_at(const walk_t *walk, uint32_t index)
{
    return sheaf_str(walk->path.base + walk->at[index], walk->at[index + 1] - walk->at[index] - 1);
}

static uint64_t segment_hash(walk_t *walk, uint32_t index)
{
    while (walk->hashed <= index) {
        walk->hashes[walk->hashed] = hash_segment(segment_at(walk, walk->hashed));
        walk->hashed++;
    }
    return walk->hashes[index];
}

static void keep_param(walk_t *walk, uint32_t index, sheaf_str_t value)
{
    walk->match->params[index] = value;
    walk->match->param_count = index + 1;
}

/* The leaf that answers from `node` on, with `depth` segments behind it: literal before parameter before rest. */
static uint32_t descend(walk_t *walk, uint32_t index, uint32_t depth)
{
    const sheaf_router_t *router = walk->router;
    const node_t *node = &router->nodes[index];
    uint32_t left = walk->count - depth, leaf = NO_LEAF, child;

    if (left == 0) {
        walk->match->param_count = node->params;
        return node->leaf;
    }
    if (left > node->deepest && node->deepest != ANY_DEPTH)
        return NO_LEAF;
    if (left < node->nearest)
        return NO_LEAF;
    if (node->literals > 0) {
        child = find_literal(router, index, segment_at(walk, depth), segment_hash(walk, depth));
        if (child != NO_NODE)
            leaf = descend(walk, child, depth + 1);
    }
    if (leaf == NO_LEAF && node->param != NO_NODE && segment_at(walk, depth).len > 0) {
        leaf = descend(walk, node->param, depth + 1);
        if (leaf != NO_LEAF)
            walk->match->params[node->params] = segment_at(walk, depth);
    }
    if (leaf == NO_LEAF && node->rest != NO_LEAF) {
        const char *rest = walk->path.base + walk->at[depth];

        leaf = node->rest;
        keep_param(walk, node->params, sheaf_str(rest, (size_t)(walk->path.base + walk->path.len - rest)));
    }
    return leaf;
}

static uint32_t route_for(const leaf_t *leaf, sheaf_str_t method)
{
    if (leaf->any_route != SHEAF_NO_ROUTE)
        return leaf->any_route;
    for (const allowed_t *at = leaf->methods; at != NULL; at = at->next) {
        if (sheaf_str_eq(at->method, method))
            return at->route;
    }
    return SHEAF_NO_ROUTE;
}

bool sheaf_router_find(const sheaf_router_t *router, sheaf_str_t path, sheaf_str_t method, sheaf_match_t *ret_match)
{
    walk_t walk; /* not zeroed: a KiB of which a lookup touches a few words */
    uint32_t leaf;

    SHEAF_ASSERT(router->is_built);
    ret_match->route = SHEAF_NO_ROUTE;
    ret_match->allow = SHEAF_STR_NONE;
    ret_match->param_count = 0;
    if (path.len == 0 || path.base[0] != '/')
        return false;
    walk.router = router;
    walk.path = path;
    walk.match = ret_match;
    walk.hashed = 0;
    split_path(&walk);
    leaf = descend(&walk, 0, 0);
    if (leaf == NO_LEAF) {
        ret_match->param_count = 0;
        return false;
    }
    ret_match->route = route_for(&router->leaves[leaf], method);
    if (ret_match->route == SHEAF_NO_ROUTE)
        ret_match->allow = router->leaves[leaf].allow;
    return ret_match->route != SHEAF_NO_ROUTE;
}
