/* fetch.c -- libcurl's easy interface, 7.85 or later (which protocols a redirect may lead to is a string since then). */
#include "file/fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/file.h"

struct download {
    const char *url;
    struct file_writer file;
    struct sha256 sum;
    int failed;                          /* what file_append said */
    void (*progress)(void *context, uint64_t now, uint64_t all);
    void *context;
};

static size_t on_bytes(char *bytes, size_t size, size_t n, void *download)
{
    struct download *d = download;
    sha256_add(&d->sum, bytes, size * n);
    d->failed = file_append(&d->file, bytes, size * n);
    return d->failed ? CURL_WRITEFUNC_ERROR : size * n;
}

static int on_progress(void *download, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up_now)
{
    const struct download *d = download;
    (void)up_all, (void)up_now;
    d->progress(d->context, (uint64_t)now, (uint64_t)all);
    return 0;
}

/* ---- which URLs ---- */

static int is_here(const char *host)
{
    return host && (!strcmp(host, "localhost") || !strcmp(host, "127.0.0.1") || !strcmp(host, "[::1]"));
}

/* curl connects to what it parsed here, so no second reading of the URL can disagree. */
static int check_url(CURLU *u, const char *url, int *remote)
{
    char *scheme = NULL, *host = NULL;
    CURLUcode bad = curl_url_set(u, CURLUPART_URL, url, 0);
    FAIL_IF(bad, E_USAGE, "%s: %s", url, curl_url_strerror(bad));
    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(u, CURLUPART_HOST, &host, 0);
    *remote = scheme && !strcmp(scheme, "https");
    int allowed = *remote || (scheme && (!strcmp(scheme, "file") || (!strcmp(scheme, "http") && is_here(host))));
    curl_free(scheme);
    curl_free(host);
    FAIL_IF(!allowed, E_USAGE, "%s: only https:// is downloaded from", url);
    return 0;
}

/* ---- the transfer ---- */

static int transfer(CURL *c, CURLU *u, struct download *d)
{
    char reason[CURL_ERROR_SIZE] = "";
    long status = 0;
    int remote;
    TRY(check_url(u, d->url, &remote));
    curl_easy_setopt(c, CURLOPT_CURLU, u);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http,file");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, (long)remote);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
    if (!remote) curl_easy_setopt(c, CURLOPT_PROXY, "");     /* no detour on the way to ourselves */
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);            /* 404 is a failure, not a file */
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);               /* we may be a library */
    curl_easy_setopt(c, CURLOPT_USERAGENT, "nib");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, d);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, (long)!d->progress);
    CURLcode code = curl_easy_perform(c);
    if (d->failed) return d->failed;
    FAIL_IF(code, E_IO, "cannot download %s: %s", d->url, reason[0] ? reason : curl_easy_strerror(code));
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);   /* 0: not HTTP */
    FAIL_IF(status >= 300, E_IO, "cannot download %s: status %ld; redirects are followed from https:// only", d->url, status);
    return 0;
}

static int check_sum(struct download *d, const char *sha256)
{
    char hex[65];
    sha256_end(&d->sum, hex);
    FAIL_IF(sha256 && strcasecmp(hex, sha256), E_DATA, "%s: its SHA-256 is %s, but %s was expected: nothing was kept", d->url, hex,
            sha256);
    return 0;
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int fetch(const char *url, const char *path, const char *sha256, const char *instead,
          void (*progress)(void *context, uint64_t now, uint64_t all), void *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct download d = { .url = url, .progress = progress, .context = context };
    pthread_once(&once, start_curl);
    TRY(file_create(&d.file, path));
    sha256_start(&d.sum);
    CURL *c = curl_easy_init();
    CURLU *u = curl_url();
    int failed = c && u ? transfer(c, u, &d) : error_set(E_MEMORY, __FILE__, __LINE__, "no memory to download %s", url);
    if (!failed) failed = check_sum(&d, sha256);
    if (!failed) failed = file_commit(&d.file);
    curl_easy_cleanup(c);
    curl_url_cleanup(u);
    file_discard(&d.file);                                   /* nothing after a commit */
    FAIL_IF(failed && instead, failed, "%s; %s", error_text(), instead);
    return failed;
}
