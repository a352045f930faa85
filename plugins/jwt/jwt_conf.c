#include "plugins/jwt/jwt_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/field/field_name.h"

/* Numbers of the keys, in their order. */
enum {
    ALGORITHMS,
    JWKS,
    JWKS_URL,
    SECRET,
    ISSUER,
    AUDIENCE,
    TYP,
    LEEWAY,
    REQUIRE_EXP,
    SCOPES,
    CLAIMS_TO_HEADERS,
    ATTRIBUTES,
    FORWARD,
    REQUIRED,
    ANONYMOUS_BATCH,
    REALM,
    MAX_TOKEN,
    CACHE,
};
enum { URL_UPSTREAM, URL_PATH, URL_REFRESH, URL_REFRESH_MIN, URL_TIMEOUT };

#define SECOND 1000

static const sheaf_p_key_t url_keys[] = {
    [URL_UPSTREAM] = {.name = "upstream",
                      .type = SHEAF_P_UPSTREAM,
                      .required = 1,
                      .manual = "The upstream that has the JWKS document."},
    [URL_PATH] = {.name = "path", .type = SHEAF_P_TEXT, .required = 1, .manual = "Its path there."},
    [URL_REFRESH] = {.name = "refresh",
                     .type = SHEAF_P_DURATION,
                     .preset = "10m",
                     .min = 1 * SECOND,
                     .max = 24 * 3600 * SECOND,
                     .manual = "How often it is fetched. When that fails, the keys that are known stay."},
    [URL_REFRESH_MIN] = {.name = "refresh_min",
                         .type = SHEAF_P_DURATION,
                         .preset = "30s",
                         .min = 1 * SECOND,
                         .max = 3600 * SECOND,
                         .manual = "A token with an unknown kid has it fetched at once, but not more often than this."},
    [URL_TIMEOUT] = {.name = "timeout",
                     .type = SHEAF_P_DURATION,
                     .preset = "5s",
                     .min = 10,
                     .max = 60 * SECOND,
                     .manual = "How long fetching may take."},
    {.name = NULL},
};

static const sheaf_p_key_t field_keys[] = {
    {.name = "claim",
     .type = SHEAF_P_TEXT,
     .required = 1,
     .manual = "The claim; with a slash before it a JSON pointer: /realm_access/roles."},
    {.name = "header", .type = SHEAF_P_TEXT, .required = 1, .manual = "The header to backends."},
    {.name = NULL},
};

static const sheaf_p_key_t attribute_keys[] = {
    {.name = "claim",
     .type = SHEAF_P_TEXT,
     .required = 1,
     .manual = "The claim; with a slash before it a JSON pointer: /realm_access/roles."},
    {.name = "name", .type = SHEAF_P_TEXT, .required = 1, .manual = "The attribute."},
    {.name = NULL},
};

const sheaf_p_key_t jwt_conf_keys[] = {
    [ALGORITHMS] = {.name = "algorithms",
                    .type = SHEAF_P_TEXTS,
                    .manual =
                        "Algorithms that are accepted: RS256, PS256, ES256, EdDSA, HS256. Default: those the keys are "
                        "for; HS256 only with `secret`."},
    [JWKS] = {.name = "jwks", .type = SHEAF_P_FILE, .manual = "A file with a JWKS document (RFC 7517): the keys."},
    [JWKS_URL] = {.name = "jwks_url",
                  .type = SHEAF_P_SECTION,
                  .keys = url_keys,
                  .manual = "Where a JWKS document is fetched and kept fresh."},
    [SECRET] = {.name = "secret",
                .type = SHEAF_P_FILE,
                .manual = "A file with the secret of HS256, 32 bytes or more; a line end behind it is not part of it."},
    [ISSUER] = {.name = "issuer",
                .type = SHEAF_P_TEXTS,
                .manual = "`iss` must be one of these. Default: not looked at."},
    [AUDIENCE] = {.name = "audience",
                  .type = SHEAF_P_TEXTS,
                  .manual = "`aud` must be, or have, one of these. Default: not looked at."},
    [TYP] = {.name = "typ",
             .type = SHEAF_P_TEXT,
             .manual =
                 "`typ` of the token's header must be this, at+jwt for access tokens (RFC 9068). Default: not looked "
                 "at."},
    [LEEWAY] = {.name = "leeway",
                .type = SHEAF_P_DURATION,
                .preset = "30s",
                .max = 600 * SECOND,
                .manual = "How far clocks may be apart, for exp, nbf and iat."},
    [REQUIRE_EXP] = {.name = "require_exp",
                     .type = SHEAF_P_BOOL,
                     .preset = "true",
                     .manual = "Refuse tokens that never expire."},
    [SCOPES] = {.name = "scopes",
                .type = SHEAF_P_TEXTS,
                .manual = "Scopes that a token must have, all of them, in `scope` or `scp`; else 403."},
    [CLAIMS_TO_HEADERS] = {.name = "claims_to_headers",
                           .type = SHEAF_P_LIST,
                           .keys = field_keys,
                           .manual =
                               "Claims that become headers to backends; a client's own headers of these names are "
                               "removed."},
    [ATTRIBUTES] = {.name = "attributes",
                    .type = SHEAF_P_LIST,
                    .keys = attribute_keys,
                    .manual = "Claims that become attributes. Default: sub as user, scope as scope."},
    [FORWARD] = {.name = "forward",
                 .type = SHEAF_P_BOOL,
                 .preset = "true",
                 .manual = "Whether backends get the Authorization header."},
    [REQUIRED] = {.name = "required",
                  .type = SHEAF_P_BOOL,
                  .preset = "true",
                  .manual = "false: who has no token passes, without identity; a bad token is 401 all the same."},
    [ANONYMOUS_BATCH] = {.name = "anonymous_batch",
                         .type = SHEAF_P_BOOL,
                         .preset = "false",
                         .manual =
                             "true: a batch without a token, or without the scopes, is read, and each of its items "
                             "must bring a token of its own."},
    [REALM] = {.name = "realm", .type = SHEAF_P_TEXT, .preset = "sheaf", .manual = "The realm in WWW-Authenticate."},
    [MAX_TOKEN] = {.name = "max_token",
                   .type = SHEAF_P_SIZE,
                   .preset = "8KiB",
                   .min = 256,
                   .max = 65536,
                   .manual = "A longer token is refused unread."},
    [CACHE] = {.name = "cache",
               .type = SHEAF_P_NUMBER,
               .preset = "1000",
               .min = 1,
               .max = 100000,
               .manual = "How many verified tokens a worker remembers, so that their signatures are checked once."},
    {.name = NULL},
};

static int refuse(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

/* --- values --- */

static jwt_texts_t texts_of(const sheaf_p_value_t *value)
{
    jwt_texts_t texts = {.texts = value->texts, .count = value->is_set ? value->count : 0};

    return texts;
}

static int read_algorithms(const sheaf_p_value_t *value, uint32_t *ret_algs, sheaf_p_fail_t *fail)
{
    jwt_texts_t texts = texts_of(value);

    for (uint32_t i = 0; i < texts.count; i++) {
        uint32_t alg = jwt_alg_of(texts.texts[i].base, texts.texts[i].len);

        if (alg == 0)
            return refuse(fail, "algorithms", "known are RS256, PS256, ES256, EdDSA and HS256");
        *ret_algs |= alg;
    }
    return 0;
}

static bool is_name(sheaf_p_str_t text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_plain && (c == '\0' || strchr(more, c) == NULL))
            return false;
    }
    return text.len > 0 && text.len <= JWT_NAME_MAX;
}

/* Sections of a claim and a name; names are tokens (RFC 9110 5.6.2), which both fields and attributes can be. */
static int read_grants(const sheaf_p_value_t *value, const char *key, jwt_grant_t *grants, uint32_t *ret_count,
                       sheaf_p_fail_t *fail)
{
    if (value->count > JWT_GRANTS_MAX)
        return refuse(fail, key, "there are at most 16");
    for (uint32_t i = 0; i < value->count; i++) {
        const sheaf_p_value_t *pair = value->sections[i];

        if (!is_name(pair[1].text, "-_.!#$%&'*+^`|~"))
            return refuse(fail, key, "a name has letters, digits and -_. only, at most 64");
        grants[i].claim = pair[0].text;
        memcpy(grants[i].name, pair[1].text.base, pair[1].text.len);
        grants[i].name[pair[1].text.len] = '\0';
    }
    *ret_count = value->count;
    return 0;
}

static int read_fields(const sheaf_p_value_t *value, jwt_conf_t *conf, sheaf_p_fail_t *fail)
{
    char why[sizeof(fail->why)];

    if (read_grants(value, "claims_to_headers", conf->fields, &conf->field_count, fail) != 0)
        return -1;
    for (uint32_t i = 0; i < conf->field_count; i++) {
        const char *name = conf->fields[i].name;
        const char *refusal = field_name_refused(sheaf_p_str(name, strlen(name)), 1);

        if (refusal == NULL)
            continue;
        snprintf(why, sizeof(why), "%s %s", name, refusal);
        return refuse(fail, "claims_to_headers", why);
    }
    return 0;
}

static int read_attributes(const sheaf_p_value_t *value, jwt_conf_t *conf, sheaf_p_fail_t *fail)
{
    if (value->is_set)
        return read_grants(value, "attributes", conf->attributes, &conf->attribute_count, fail);
    conf->attributes[0] = (jwt_grant_t){.claim = sheaf_p_str("sub", 3), .name = "user"};
    conf->attributes[1] = (jwt_grant_t){.claim = sheaf_p_str("scope", 5), .name = "scope"};
    conf->attribute_count = 2;
    return 0;
}

static int read_remote(const sheaf_p_value_t *value, jwt_remote_t *remote, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *url;

    if (!value->is_set || value->count == 0)
        return 0;
    url = value->sections[0];
    *remote = (jwt_remote_t){.is_set = true,
                             .upstream = url[URL_UPSTREAM].number,
                             .path = url[URL_PATH].text,
                             .refresh_ms = (uint64_t)url[URL_REFRESH].number,
                             .refresh_min_ms = (uint64_t)url[URL_REFRESH_MIN].number,
                             .timeout_ms = (uint64_t)url[URL_TIMEOUT].number};
    if (remote->path.len == 0 || remote->path.base[0] != '/')
        return refuse(fail, "jwks_url.path", "it begins with a slash");
    return 0;
}

static sheaf_p_str_t content_of(const sheaf_p_value_t *file)
{
    return file->text.base != NULL ? file->text : sheaf_p_str("", 0);
}

/* Secrets are written by `openssl rand -hex 32 > FILE`, which ends the line. */
static sheaf_p_str_t without_line_end(sheaf_p_str_t text)
{
    if (text.len > 0 && text.base[text.len - 1] == '\n')
        text.len--;
    if (text.len > 0 && text.base[text.len - 1] == '\r')
        text.len--;
    return text;
}

/* What goes into a quoted string of WWW-Authenticate: nothing that would have to be escaped. */
static bool is_quotable(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] < 0x20 || text.base[i] > 0x7e || text.base[i] == '"' || text.base[i] == '\\')
            return false;
    return true;
}

static int check_words(const jwt_conf_t *conf, sheaf_p_fail_t *fail)
{
    const jwt_texts_t *scopes = &conf->rules.scopes;
    size_t len = 0;

    if (!is_quotable(conf->realm) || conf->realm.len > 64)
        return refuse(fail, "realm", "at most 64 printable ASCII characters, no quotes, no backslashes");
    for (uint32_t i = 0; i < scopes->count; i++) {
        len += scopes->texts[i].len + 1;
        if (scopes->texts[i].len == 0 || !is_quotable(scopes->texts[i]) ||
            memchr(scopes->texts[i].base, ' ', scopes->texts[i].len) != NULL)
            return refuse(fail, "scopes", "a scope is printable ASCII without spaces, quotes and backslashes");
    }
    if (scopes->count > JWT_SCOPES_MAX || len > 256)
        return refuse(fail, "scopes", "there are at most 16, of at most 256 bytes together");
    return 0;
}

const char *jwt_conf_lets_pass(const sheaf_p_value_t *values)
{
    return values[REQUIRED].number != 0 ? NULL : "who has no token (`required: false`)";
}

int jwt_conf_read(const sheaf_p_value_t *values, jwt_conf_t *ret_conf, sheaf_p_fail_t *fail)
{
    jwt_conf_t *conf = ret_conf;

    *conf = (jwt_conf_t){.rules = {.issuers = texts_of(&values[ISSUER]),
                                   .audiences = texts_of(&values[AUDIENCE]),
                                   .scopes = texts_of(&values[SCOPES]),
                                   .leeway_s = values[LEEWAY].number / SECOND,
                                   .needs_expiry = values[REQUIRE_EXP].number != 0},
                         .is_forwarded = values[FORWARD].number != 0,
                         .is_required = values[REQUIRED].number != 0,
                         .takes_anonymous_batch = values[ANONYMOUS_BATCH].number != 0,
                         .realm = values[REALM].text,
                         .typ = values[TYP].is_set ? values[TYP].text : sheaf_p_str(NULL, 0),
                         .max_token = (size_t)values[MAX_TOKEN].number,
                         .cache_limit = (uint32_t)values[CACHE].number};
    if (values[JWKS].is_set)
        conf->jwks = content_of(&values[JWKS]);
    if (values[SECRET].is_set)
        conf->secret = without_line_end(content_of(&values[SECRET]));
    if (!values[JWKS].is_set && !values[SECRET].is_set && !values[JWKS_URL].is_set)
        return refuse(fail, "jwks", "there must be keys: jwks, jwks_url or secret");
    if (read_algorithms(&values[ALGORITHMS], &conf->algs, fail) != 0 ||
        read_remote(&values[JWKS_URL], &conf->remote, fail) != 0 ||
        read_fields(&values[CLAIMS_TO_HEADERS], conf, fail) != 0 ||
        read_attributes(&values[ATTRIBUTES], conf, fail) != 0)
        return -1;
    if (conf->algs == 0)
        conf->algs = JWT_ALGS_PUBLIC | (values[SECRET].is_set ? (uint32_t)JWT_HS256 : 0);
    return check_words(conf, fail);
}

/* --- keys --- */

/* An operator's own file is taken as a whole or not at all: a key that is skipped silently is looked for for hours. */
static jwt_keys_t *read_file(sheaf_p_str_t document, sheaf_p_fail_t *fail)
{
    const char *why = NULL;
    jwt_keys_t *keys = jwt_keys_read(document, &why);

    if (keys != NULL && keys->skipped == 0 && keys->count > 0)
        return keys;
    if (keys != NULL)
        why = keys->skipped > 0 ? keys->why_skipped : "it has no key";
    refuse(fail, "jwks", why);
    jwt_keys_free(keys);
    return NULL;
}

jwt_keys_t *jwt_conf_own_keys(const jwt_conf_t *conf, sheaf_p_fail_t *fail)
{
    jwt_keys_t *keys = conf->jwks.base != NULL ? read_file(conf->jwks, fail) : jwt_keys_new();
    const char *why = keys != NULL && conf->secret.base != NULL ? jwt_keys_add_secret(keys, conf->secret) : NULL;

    if (keys == NULL && fail->why[0] == '\0')
        refuse(fail, "jwks", "there is no memory for it");
    if (why == NULL)
        return keys;
    refuse(fail, "secret", why);
    jwt_keys_free(keys);
    return NULL;
}
