/* test_report_page.c -- pages as a browser shows them: every curve is painted, in light and dark, with scripts and without, and what is no part of the page is
 * not run.  Needs Chromium. */
#include "program.h"

#include <math.h>
#include <zlib.h>

#include "report/report.h"

enum { WIDTH = 1100, HEIGHT = 2400, MOST_RUNS = 3 };

static char chromium[PATH_SIZE];

static int find_program(const char *name)
{
    char path[PATH_SIZE], *rest, *all = strdup(getenv("PATH") ? getenv("PATH") : "");
    for (char *part = strtok_r(all, ":", &rest); part && !*chromium; part = strtok_r(NULL, ":", &rest))
        if (!path_join(path, part, name) && !access(path, X_OK)) memcpy(chromium, path, sizeof path);
    free(all);
    return *chromium != 0;
}

static int set_up(void **state)
{
    static const char *const names[] = { "chromium", "chromium-browser", "google-chrome-stable", "google-chrome" };
    for (size_t i = 0; i < sizeof names / sizeof *names && !find_program(names[i]); i++) continue;
    if (!*chromium) print_message("skipped: pages in a browser: Chromium is not installed\n");
    return enter_program(state);
}

#define NEEDS_CHROMIUM if (!*chromium) skip()

static void browse(const char *page, const char *options)
{
    runs_how(HOW(.program = chromium), "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --user-data-dir=%s --window-size=%d,%d %s file://%s", at("profile"), WIDTH, HEIGHT,
             options, at(page));
}

/* ---- pictures ---- */

struct picture { uint32_t width, height; uint8_t *rgb; };

static uint32_t big_u32(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

static uint8_t paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* PNG, the second edition, section 9: a row by its filter, from the one above. */
static void unfilter(int filter, uint8_t *row, const uint8_t *above, size_t n, size_t pixel)
{
    for (size_t i = 0; i < n; i++) {
        int a = i >= pixel ? row[i - pixel] : 0, b = above ? above[i] : 0, c = above && i >= pixel ? above[i - pixel] : 0;
        row[i] = (uint8_t)(row[i] + (filter == 0 ? 0 : filter == 1 ? a : filter == 2 ? b : filter == 3 ? (a + b) / 2 : paeth(a, b, c)));
    }
}

static struct picture read_picture(const char *path)
{
    struct text file = { 0 }, packed = { 0 };
    assert_ok(file_read(path, LIMIT, &file));
    const uint8_t *f = (const uint8_t *)file.at;
    assert_memory_equal(f, "\x89PNG\r\n\x1a\n", 8);
    struct picture p = { .width = big_u32(f + 16), .height = big_u32(f + 20) };
    size_t pixel = f[25] == 6 ? 4 : 3, row = p.width * pixel;
    assert_true(f[24] == 8 && (f[25] == 2 || f[25] == 6) && !f[28]);
    for (size_t i = 8; i + 12 <= file.size; i += big_u32(f + i) + 12)
        if (!memcmp(f + i + 4, "IDAT", 4)) text_bytes(&packed, f + i + 8, big_u32(f + i));
    uLongf size = (row + 1) * p.height;
    uint8_t *all = malloc(size);
    p.rgb = malloc((size_t)p.width * p.height * 3);
    assert_int_equal(uncompress(all, &size, (const Bytef *)packed.at, packed.size), Z_OK);
    for (size_t y = 0; y < p.height; y++) {
        uint8_t *line = all + y * (row + 1);
        unfilter(line[0], line + 1, y ? line - row : NULL, row, pixel);
        for (size_t x = 0; x < p.width; x++) memcpy(p.rgb + (y * p.width + x) * 3, line + 1 + x * pixel, 3);
    }
    free(all);
    text_free(&file);
    text_free(&packed);
    return p;
}

static int count_pixels(const struct picture *p, const uint8_t colour[3])
{
    int n = 0;
    for (size_t i = 0; i < (size_t)p->width * p->height; i++)
        n += abs(p->rgb[3 * i] - colour[0]) <= 2 && abs(p->rgb[3 * i + 1] - colour[1]) <= 2 && abs(p->rgb[3 * i + 2] - colour[2]) <= 2;
    return n;
}

/* ---- what the page says its colours are ---- */

static void colour_of(const char *page, const char *name, int dark, uint8_t colour[3])
{
    struct text t = { 0 };
    char key[16];
    assert_ok(file_read(page, LIMIT, &t));
    snprintf(key, sizeof key, "--%s: #", name);
    const char *found = strstr(t.at, key);
    if (found && dark) found = strstr(found + 1, key);       /* the second one is in the rules for dark */
    if (!found) fail_msg("no colour %s", name);
    assert_int_equal(sscanf(found + strlen(key), "%2hhx%2hhx%2hhx", &colour[0], &colour[1], &colour[2]), 3);
    text_free(&t);
}

static struct picture take_picture(const char *page, int dark)
{
    char options[256];
    const char *path = at("page.png");
    unlink(path);
    snprintf(options, sizeof options, "--blink-settings=preferredColorScheme=%d --screenshot=%s", !dark, path);
    browse(page, options);
    return read_picture(at("page.png"));
}

static void assert_painted(const struct picture *p, const char *page, const char *name, int dark, int least)
{
    uint8_t colour[3];
    colour_of(at(page), name, dark, colour);
    int n = count_pixels(p, colour);
    print_message("  %s, %s, %s: %d pixels\n", page, dark ? "dark" : "light", name, n);
    if (n < least) fail_msg("%s, %s: %d pixels have the colour %s; at least %d were expected", page, dark ? "dark" : "light", n, name, least);
}

/* ---- runs ---- */

static void add_run(struct history *h, double loss, unsigned kinds)
{
    static const char *const keys[SERIES_KINDS] = { "loss", "lr", "grad_norm", "tok_s", "mfu", "train_loss", "val_loss", "mib" };
    struct text t = { 0 };
    uint64_t state = 7;
    for (int i = 0; i <= 400; i++) {
        double fall = 3 * exp(-i / 100.0), noise = 0.1 * roll(&state, 100) / 100;
        const double value[SERIES_KINDS] = { loss + fall + noise, 1e-3 * (1 + cos(i / 130.0)) * loss, 1 + noise + loss / 2, 50000 + 3000 * loss, 0.4, loss + fall + 0.05, loss + fall + 0.4, 50 + 5 * loss };
        for (int k = 0; k < SERIES_KINDS; k++)
            if ((kinds >> k & 1) && (k < SERIES_TRAIN_LOSS || i % 50 == 0)) text_format(&t, "{\"step\": %d, \"time\": %d, \"%s\": %.6g}\n", i, 1700000000 + i, keys[k], value[k]);
    }
    assert_ok(history_take(h, t.at, t.size));
    text_free(&t);
}

static void write_pages(const char *path, int n, unsigned kinds)
{
    struct history h[MOST_RUNS] = { 0 };
    const struct report_run run[MOST_RUNS] = { { .name = "first", .history = &h[0] }, { .name = "second", .history = &h[1] }, { .name = "third", .history = &h[2] } };
    for (int i = 0; i < n; i++) add_run(&h[i], 1 + 0.5 * i, kinds);
    assert_ok(report_write(run, n, path));
    for (int i = 0; i < n; i++) history_close(&h[i]);
}

/* ---- tests ---- */

static void light_and_dark(void **state)
{
    static const struct { const char *page; int runs; } rows[] = { { "one.html", 1 }, { "three.html", 3 } };
    (void)state;
    NEEDS_CHROMIUM;
    for (int i = 0; i < 2; i++) {
        write_pages(at(rows[i].page), rows[i].runs, ~0u);
        for (int dark = 0; dark < 2; dark++) {
            struct picture p = take_picture(rows[i].page, dark);
            assert_true(p.width == WIDTH && p.height == HEIGHT);
            assert_painted(&p, rows[i].page, "paper", dark, WIDTH * HEIGHT / 2);
            assert_painted(&p, rows[i].page, "ink", dark, 100);
            assert_painted(&p, rows[i].page, "c0", dark, 600);
            assert_painted(&p, rows[i].page, "c1", dark, 200);
            assert_painted(&p, rows[i].page, "c2", dark, 100);
            free(p.rgb);
        }
    }
}

static void remove_script(const char *path)
{
    struct text page = { 0 };
    assert_ok(file_read(path, LIMIT, &page));
    char *script = strstr(page.at, "<script>");
    assert_non_null(script);
    *script = 0;
    write_text(path, page.at);
    text_free(&page);
}

/* A page with nothing but one curve: there it is, though there is no script. */
static void each_curve(void **state)
{
    static const struct { const char *page; enum series_kind kind; const char *colour; int least; } rows[] = {
        { "loss.html", SERIES_LOSS, "c0", 300 }, { "val_loss.html", SERIES_VAL_LOSS, "c1", 300 }, { "train_loss.html", SERIES_TRAIN_LOSS, "c2", 100 }, { "lr.html", SERIES_LR, "c0", 200 },
        { "grad_norm.html", SERIES_GRAD_NORM, "c0", 200 }, { "tok_s.html", SERIES_TOK_S, "c0", 200 }, { "mib.html", SERIES_MIB, "c0", 200 },
    };
    (void)state;
    NEEDS_CHROMIUM;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_pages(at(rows[i].page), 1, 1u << rows[i].kind);
        remove_script(at(rows[i].page));
        struct picture p = take_picture(rows[i].page, 0);
        assert_painted(&p, rows[i].page, rows[i].colour, 0, rows[i].least);
        free(p.rgb);
    }
}

/* Our script runs, and one that has found its way into the page does not. */
static void scripts(void **state)
{
    static const char *const evil[] = { "<script>document.querySelector('h1').textContent = 'a stranger'</script>", "<img src=x onerror=\"document.querySelector('h1').textContent = 'a stranger'\">" };
    struct text page = { 0 }, changed = { 0 };
    (void)state;
    NEEDS_CHROMIUM;
    write_pages(at("own.html"), 1, ~0u);
    browse("own.html", "--dump-dom");
    assert_has(OUT, "<b>Loss<output></output></b>");
    assert_has(OUT, "class=\"cursor\"");
    assert_ok(file_read(at("own.html"), LIMIT, &page));
    const char *end = strstr(page.at, "<footer>");
    for (int i = 0; i < 2; i++) {
        text_clear(&changed);
        text_bytes(&changed, page.at, (size_t)(end - page.at));
        text_add(&changed, evil[i]);
        text_add(&changed, end);
        write_text(at("changed.html"), changed.at);
        browse("changed.html", "--dump-dom");
        assert_has(OUT, "class=\"cursor\"");
        assert_has(OUT, "<h1>first</h1>");
    }
    text_free(&page);
    text_free(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(light_and_dark), cmocka_unit_test(each_curve), cmocka_unit_test(scripts) };
    return cmocka_run_group_tests(tests, set_up, leave_program);
}
