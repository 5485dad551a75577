/* sha256.c -- SHA-256 (FIPS 180-4) by libcrypto, which uses the processor's own instructions where it has them. */
#define OPENSSL_API_COMPAT 10101                             /* the calls that neither allocate nor fail */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256), "room for libcrypto's state");

static SHA256_CTX *context(struct sha256 *s) { return (SHA256_CTX *)(void *)s->state; }

void sha256_start(struct sha256 *s) { SHA256_Init(context(s)); }
void sha256_add(struct sha256 *s, const void *bytes, size_t n) { SHA256_Update(context(s), bytes, n); }

void sha256_end(struct sha256 *s, char hex[65])
{
    uint8_t sum[SHA256_DIGEST_LENGTH];
    SHA256_Final(sum, context(s));
    for (size_t i = 0; i < sizeof sum; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
}
