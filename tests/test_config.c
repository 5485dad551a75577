/* test_config.c -- config.json in the spellings of transformers 4 and 5: what it says, what of it is refused, what nib writes; and how
 * far positions turn by it, against the formulas of those who thought of them. */
#include <math.h>

#include "folder.h"
#include "rig.h"

/* ---- reading ---- */

static const char *const gpt2 = "\"vocab_size\": 9, \"n_positions\": 8, \"n_embd\": 12, \"n_layer\": 2, \"n_head\": 2";
static const char *const llama = "\"vocab_size\": 9, \"max_position_embeddings\": 64, \"hidden_size\": 32, \"intermediate_size\": 9, \"num_hidden_layers\": 3, "
                                 "\"num_attention_heads\": 2, \"num_key_value_heads\": 1";

static int parse(const char *type, const char *keys, const struct model **m, struct config *c)
{
    char text[2048];
    json_t *root;
    snprintf(text, sizeof text, "{\"model_type\": \"%s\", %s%s}", type, strcmp(type, "gpt2") ? llama : gpt2, keys);
    assert_ok(json_parse(&root, text, strlen(text), "test"));
    int code = config_parse(m, c, root, "test");
    json_decref(root);
    return code;
}

static struct config read_keys(const char *type, const char *keys)
{
    const struct model *m;
    struct config c;
    assert_ok(parse(type, keys, &m, &c));
    assert_string_equal(m->name, type);
    return c;
}

/* What nib writes, and the same configuration read from it. */
static json_t *written(const char *type, const char *keys)
{
    const struct model *m, *same;
    struct config c, again;
    json_t *root;
    assert_ok(parse(type, keys, &m, &c));
    assert_ok(config_write(m, &c, -1, folder));
    assert_ok(json_read(&root, at("config.json"), 1 << 16));
    assert_ok(config_read(&same, &again, folder));
    assert_ptr_equal(m, same);
    assert_memory_equal(&c, &again, sizeof c);
    return root;
}

static void assert_says(const json_t *root, const char *key, const char *wanted)
{
    json_t *value = json_object_get(root, key);
    char *is = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (strcmp(is ? is : "nothing", wanted)) fail_msg("%s is %s, not %s", key, is ? is : "nothing", wanted);
    free(is);
}

/* ---- positions ---- */

/* The frequencies and the gain by which a model turns: heads of (1, 0) at position 1. */
static double turned(const struct config *c, double *frequency)
{
    const struct space text = { "text", 1, 1 };
    struct weights *w;
    graph *g;
    struct plan *p;
    float x[64] = { 0 };
    int half = (int)c->head_dim / 2;
    for (int j = 0; j < half; j++) x[j] = 1;
    assert_ok(weights_new(&w, &cpu_backend, FROZEN));
    assert_ok(graph_open(&g, w, EVAL, F32, &text, 1));
    struct rows *rows = graph_rows(g, "text");
    tensor *in = t_input(rows, "x", c->head_dim, F32), *pos = t_input(rows, "pos", 1, I32);
    tensor *y = t_rope(in, pos, config_rope(c));
    assert_ok(plan_new(&p, g, &y, 1, &(struct plan_options){ 0 }));
    assert_ok(weights_place(w));
    assert_ok(plan_bind(p, "text.x", x, 1));
    assert_ok(plan_bind(p, "text.pos", &(int32_t){ 1 }, 1));
    assert_ok(plan_run(p, &(struct run_scalars){ .last_micro = 1 }));
    const float *r = plan_result(p, 0);
    double gain = hypot((double)r[0], (double)r[half]);
    for (int j = 0; j < half; j++) frequency[j] = atan2((double)r[half + j], (double)r[j]);
    weights_free(w);
    return gain;
}

static double plain(int j, int dim, double theta) { return 1 / pow(theta, 2.0 * j / dim); }

/* Each as its authors put it, for heads of 16: by wavelengths (Llama 3.1), by a ramp over dimensions (YaRN, section 3.2, with the
 * published program's rounding). */
static double as_default(int j) { return plain(j, 16, 1e4); }
static double as_linear(int j) { return plain(j, 16, 2e4) / 4; }
static double as_llama3(int j)
{
    double f = plain(j, 16, 5e5), wavelength = 2 * acos(-1) / f, old = 32, low = 1, high = 4;
    if (wavelength < old / high) return f;
    if (wavelength > old / low) return f / 8;
    double smooth = (old / wavelength - low) / (high - low);
    return (1 - smooth) * f / 8 + smooth * f;
}
static double ramp(int j, double old, double theta, double fast, double slow, int whole)
{
    double low = 16 * log(old / (fast * 2 * acos(-1))) / (2 * log(theta)), high = 16 * log(old / (slow * 2 * acos(-1))) / (2 * log(theta));
    if (whole) low = floor(low), high = ceil(high);
    if (low < 0) low = 0;
    if (high > 15) high = 15;
    double x = (j - low) / (high - low);
    return x < 0 ? 0 : x > 1 ? 1 : x;
}
static double as_yarn(int j)
{
    double f = plain(j, 16, 1e4), r = ramp(j, 64, 1e4, 32, 1, 1);
    return f / 4 * r + f * (1 - r);
}
static double as_fine_yarn(int j)
{
    double f = plain(j, 16, 1e6), r = ramp(j, 4096, 1e6, 16, 2, 0);
    return f / 2.5 * r + f * (1 - r);
}

#define LLAMA3 "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32"
#define FINE "\"factor\": 2.5, \"beta_fast\": 16, \"beta_slow\": 2, \"truncate\": false, \"original_max_position_embeddings\": 4096"

static const struct positions { const char *four, *five; double (*formula)(int j); double gain; } positions[] = {
    { ", \"rope_scaling\": null", "", as_default, 1 },
    { ", \"rope_theta\": 10000", ", \"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}", as_default, 1 },
    { ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, \"rope_theta\": 2e4", ", \"rope_parameters\": {\"rope_theta\": 2e4, \"rope_type\": \"linear\", \"factor\": 4.0}", as_linear, 1 },
    { ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4}", ", \"rope_parameters\": {\"rope_type\": \"dynamic\", \"factor\": 4.0, \"rope_theta\": 10000}", as_default, 1 },
    { ", \"rope_theta\": 5e5, \"rope_scaling\": {" LLAMA3 ", \"rope_type\": \"llama3\"}", ", \"rope_parameters\": {\"rope_theta\": 5e5, " LLAMA3 ", \"rope_type\": \"llama3\"}", as_llama3, 1 },
    { ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0}", ", \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 64}", as_yarn,
      1.138629436111989 /* 0.1 ln 4 + 1 */ },
    { ", \"rope_theta\": 1e6, \"rope_scaling\": {" FINE ", \"rope_type\": \"yarn\", \"attention_factor\": 0.75}",
      ", \"rope_parameters\": {\"rope_theta\": 1e6, " FINE ", \"rope_type\": \"yarn\", \"attention_factor\": 0.75}", as_fine_yarn, 0.75 },
    { ", \"rope_theta\": 1e6, \"rope_scaling\": {" FINE ", \"rope_type\": \"yarn\", \"mscale\": 0.5, \"mscale_all_dim\": 2}",
      ", \"rope_parameters\": {\"rope_theta\": 1e6, " FINE ", \"rope_type\": \"yarn\", \"mscale\": 0.5, \"mscale_all_dim\": 2.0}", as_fine_yarn, 0.883843090198 /* (1 + 0.05 ln 2.5) / (1 + 0.2 ln 2.5) */ },
    /* where a file has both, transformers 5 takes rope_scaling; of two thetas the one inside */
    { ", \"rope_theta\": 2e4, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, \"rope_parameters\": {\"rope_theta\": 3.0, \"rope_type\": \"default\"}",
      ", \"rope_theta\": 3.0, \"rope_parameters\": {\"rope_theta\": 2e4, \"rope_type\": \"linear\", \"factor\": 4}", as_linear, 1 },
};

static void turns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        const struct positions *p = &positions[i];
        struct config c = read_keys("llama", p->four), five = read_keys("llama", p->five);
        double frequency[32];
        if (memcmp(&c, &five, sizeof c)) fail_msg("%s and %s are not the same", p->four, p->five);
        json_decref(written("llama", p->four));
        double gain = turned(&c, frequency);
        if (fabs(gain / p->gain - 1) > 2e-7) fail_msg("%s: the gain is %.9g, not %.9g", p->four, gain, p->gain);
        for (int j = 0; j < 8; j++)
            if (fabs(frequency[j] / p->formula(j) - 1) > 3e-7) fail_msg("%s: pair %d turns by %.9g, not %.9g", p->four, j, frequency[j], p->formula(j));
    }
}

/* ---- what is refused, and how it is said ---- */

static void refusals(void **state)
{
    static const struct { const char *type, *keys; int code; const char *part; } cases[] = {
        { "llama", ", \"hidden_act\": \"gelu\"", E_MODEL, "hidden_act is \"gelu\"; nib knows only \"silu\"" },
        { "llama", ", \"rope_scaling\": {\"type\": \"longrope\", \"factor\": 4}", E_MODEL, "rope_parameters.rope_type is \"longrope\"; nib knows only \"default\", \"linear\", \"dynamic\", \"llama3\", \"yarn\"" },
        { "llama", ", \"rope_scaling\": 2", E_DATA, "rope_scaling should be an object or null" },
        { "llama", ", \"rope_parameters\": []", E_DATA, "rope_parameters should be an object or null" },
        { "llama", ", \"rope_scaling\": {\"type\": \"linear\"}", E_DATA, "rope_parameters.factor is missing" },
        { "llama", ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", E_MODEL, "the factor of scaled positions, 0, is not from 1 to 1e6" },
        { "llama", ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"beta_fast\": 1, \"beta_slow\": 32}", E_MODEL, "scaled between 32 and 1 turns" },
        { "llama", ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"attention_factor\": -1}", E_MODEL, "yarn's attention_factor -1" },
        { "llama", ", \"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"llama3\"}", E_DATA, "rope_parameters.factor is missing" },
        { "llama", ", \"rope_theta\": 0.5", E_MODEL, "rotary positions with theta 0.5" },
        { "llama", ", \"partial_rotary_factor\": 0.5", E_MODEL, "partial_rotary_factor is 0.5; nib knows only 1.0" },
        { "llama", ", \"rope_parameters\": {\"partial_rotary_factor\": 0.25}", E_MODEL, "rope_parameters.partial_rotary_factor is 0.25; nib knows only 1.0" },
        { "qwen2", ", \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1.0}}", E_MODEL, "rope_parameters.full_attention is {\"rope_theta\":1.0}; nib knows only null" },
        { "llama", ", \"quantization_config\": {\"bits\": 4}", E_MODEL, "quantization_config is {\"bits\":4}; nib knows only null" },
        { "llama", ", \"head_dim\": 7", E_MODEL, "heads of width 7 have an odd one" },
        { "llama", ", \"attention_bias\": 1", E_DATA, "attention_bias should be true or false" },
        { "qwen2", ", \"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\"]", E_MODEL,
          "layer_types is [\"sliding_attention\",\"full_attention\",\"sliding_attention\"]; nib knows only \"full_attention\" for the first layers and \"sliding_attention\" for the rest" },
        { "qwen2", ", \"layer_types\": [\"full_attention\", \"full_attention\", \"linear_attention\"]", E_MODEL, "layer_types is [\"full_attention\",\"full_attention\",\"linear_attention\"]; nib knows only" },
        { "qwen3", ", \"layer_types\": [\"full_attention\"]", E_DATA, "layer_types is of 1 layers, the model has 3" },
        { "mistral", ", \"sliding_window\": -1", E_DATA, "sliding_window is -1; from 0" },
        { "gpt2", ", \"activation_function\": \"silu\"", E_MODEL, "activation_function is \"silu\"; nib knows only \"gelu_new\", \"gelu_pytorch_tanh\"" },
        { "gpt2", ", \"add_cross_attention\": true", E_MODEL, "add_cross_attention is true; nib knows only false" },
        { "gpt2", ", \"scale_attn_weights\": 1", E_DATA, "scale_attn_weights should be true or false" },
        { "gpt3", "", E_MODEL, "model_type \"gpt3\" is not one of nib's (gpt2, llama, mistral, qwen2, qwen3)" },
    };
    const struct model *m;
    struct config c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_fails(parse(cases[i].type, cases[i].keys, &m, &c), cases[i].code, cases[i].part);
}

/* ---- the families ---- */

static void families(void **state)
{
    (void)state;
    struct config c = read_keys("llama", ", \"attention_bias\": true, \"mlp_bias\": true, \"head_dim\": null, \"sliding_window\": 7, \"attention_dropout\": 0.25");
    assert_true(c.qkv_bias && c.out_bias && c.mlp_bias && !c.qk_norm && !c.tied && c.head_dim == 16 && !c.window && c.dropout == 0.25 && c.eps == 1e-6);
    c = read_keys("mistral", ", \"attention_bias\": true");                  /* which that class does not look at */
    assert_true(!c.qkv_bias && !c.out_bias && c.window == 4096 && c.full_layers == 0);
    assert_int_equal(read_keys("mistral", ", \"sliding_window\": null").window, 0);
    c = read_keys("qwen2", ", \"sliding_window\": 16, \"max_window_layers\": 2");
    assert_true(c.qkv_bias && !c.out_bias && !c.qk_norm && !c.window);
    c = read_keys("qwen2", ", \"use_sliding_window\": true, \"sliding_window\": 16, \"max_window_layers\": 2");
    assert_true(c.window == 16 && c.full_layers == 2);
    c = read_keys("qwen2", ", \"use_sliding_window\": true, \"sliding_window\": 16, \"layer_types\": [\"full_attention\", \"sliding_attention\", \"sliding_attention\"]");
    assert_true(c.window == 16 && c.full_layers == 1);
    c = read_keys("qwen3", "");
    assert_true(c.qk_norm && !c.qkv_bias && c.head_dim == 128 && !c.window);
    assert_true(read_keys("qwen3", ", \"attention_bias\": true").out_bias);
}

static void gpt2_spellings(void **state)
{
    static const struct { const char *word; int activation; } words[] = {
        { "gelu_new", GELU_TANH }, { "gelu_pytorch_tanh", GELU_TANH }, { "gelu_fast", GELU_TANH }, { "gelu", GELU_ERF }, { "gelu_python", GELU_ERF }, { "relu", RELU },
    };
    char keys[128];
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(keys, sizeof keys, ", \"activation_function\": \"%s\"", words[i].word);
        assert_int_equal(read_keys("gpt2", keys).activation, words[i].activation);
        json_decref(written("gpt2", keys));
    }
    struct config c = read_keys("gpt2", ", \"n_inner\": null, \"n_ctx\": 8, \"reorder_and_upcast_attn\": true, \"summary_type\": \"cls_index\"");
    assert_true(c.hidden == 48 && c.activation == GELU_TANH && !c.unscaled && !c.by_layer && c.tied && c.bias);
    c = read_keys("gpt2", ", \"n_inner\": 20, \"scale_attn_weights\": false, \"scale_attn_by_inverse_layer_idx\": true, \"tie_word_embeddings\": false");
    assert_true(c.hidden == 20 && c.unscaled && c.by_layer && !c.tied);
}

/* ---- what is written ---- */

static void what_is_written(void **state)
{
    (void)state;
    json_t *root = written("llama", ", \"rope_theta\": 5e5, \"rope_scaling\": {" LLAMA3 ", \"type\": \"llama3\"}, \"attention_bias\": true");
    assert_says(root, "architectures", "[\"LlamaForCausalLM\"]");
    assert_says(root, "rope_theta", "500000.0");
    assert_says(root, "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"original_max_position_embeddings\": 32, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0}");
    assert_says(root, "rope_parameters",
                "{\"rope_type\": \"llama3\", \"rope_theta\": 500000.0, \"factor\": 8.0, \"original_max_position_embeddings\": 32, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0}");
    assert_says(root, "attention_bias", "true");
    assert_says(root, "hidden_act", "\"silu\"");
    json_decref(root);
    root = written("mistral", ", \"sliding_window\": null");
    assert_says(root, "architectures", "[\"MistralForCausalLM\"]");
    assert_says(root, "sliding_window", "null");
    assert_says(root, "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 10000.0}");
    assert_says(root, "rope_scaling", "nothing");
    json_decref(root);
    root = written("qwen2", ", \"use_sliding_window\": true, \"sliding_window\": 16, \"max_window_layers\": 0");
    assert_says(root, "architectures", "[\"Qwen2ForCausalLM\"]");
    assert_says(root, "use_sliding_window", "true");
    assert_says(root, "max_window_layers", "0");
    json_decref(root);
    root = written("gpt2", ", \"scale_attn_weights\": false, \"activation_function\": \"gelu_fast\"");
    assert_says(root, "scale_attn_weights", "false");
    assert_says(root, "activation_function", "\"gelu_new\"");
    json_decref(root);
}

static int setup(void **state)
{
    assert_ok(cpu_init(NULL, 1));
    return enter_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns), cmocka_unit_test(refusals), cmocka_unit_test(families), cmocka_unit_test(gpt2_spellings), cmocka_unit_test(what_is_written),
    };
    return cmocka_run_group_tests(tests, setup, leave_folder);
}
