/* Addresses and networks as configurations and trusted proxies write them: what is read prints as what is read again, and a network
 * has the addresses that begin as it does and no others. Input: network, newline, address. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/snapshot.h"
#include "config/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool claim)
{
    if (!claim)
        abort();
}

static bool bit_at(const uint8_t bytes[16], uint32_t at)
{
    return (bytes[at / 8] & (0x80u >> (at % 8))) != 0;
}

static void flip_bit(uint8_t bytes[16], uint32_t at)
{
    bytes[at / 8] = (uint8_t)(bytes[at / 8] ^ (0x80u >> (at % 8)));
}

static void insist_prints_and_reads(const uint8_t ip[16])
{
    char text[SHEAF_IP_TEXT_MAX];
    uint8_t again[16];

    sheaf_ip_print(ip, text);
    insist(sheaf_ip_parse(sheaf_str_of(text), again));
    insist(memcmp(ip, again, 16) == 0);
}

static bool begins_alike(const sheaf_cidr_t *cidr, const uint8_t ip[16])
{
    for (uint32_t at = 0; at < cidr->bits; at++)
        if (bit_at(cidr->bytes, at) != bit_at(ip, at))
            return false;
    return true;
}

static void insist_is_a_network(const sheaf_cidr_t *cidr)
{
    uint8_t ip[16];

    insist(cidr->bits <= 128);
    memcpy(ip, cidr->bytes, 16);
    for (uint32_t at = 0; at < 128; at++) {
        insist(at < cidr->bits || !bit_at(ip, at));
        flip_bit(ip, at);
        insist(sheaf_cidr_has(cidr, 1, ip) == (at >= cidr->bits));
        flip_bit(ip, at);
    }
    insist(sheaf_cidr_has(cidr, 1, ip));
    insist(!sheaf_cidr_has(cidr, 0, ip));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t address = sheaf_str((const char *)data, size), network = sheaf_str_cut(&address, '\n');
    bool is_address = address.base != NULL, had_host_bits;
    sheaf_cidr_t cidr;
    sheaf_fail_t fail;
    uint8_t ip[16];

    is_address = is_address && sheaf_ip_parse(address, ip);
    if (is_address)
        insist_prints_and_reads(ip);
    if (sheaf_value_cidr(network, &cidr, &had_host_bits, &fail) != SHEAF_OK)
        return 0;
    insist_is_a_network(&cidr);
    insist_prints_and_reads(cidr.bytes);
    if (is_address)
        insist(sheaf_cidr_has(&cidr, 1, ip) == begins_alike(&cidr, ip));
    return 0;
}
