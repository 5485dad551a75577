/* rope.c -- rotary positions (Su et al. 2021), rotate-half as Hugging Face has it: in each head of width D, columns j and
 * j + D/2 turn by the angle pos f_j, f_j = theta^(-2j/D), which may be scaled for texts longer than those of the training (tensor.h).
 *     (a, b) -> (a cos - b sin, b cos + a sin);   the gradient turns back: (a cos + b sin, b cos - a sin) */
#include "cpu/row.h"

/* sin and cos of an angle in 0 .. 2^20, error under 1 ulp of f32: quarter turns off in double, then Taylor to x^11, x^12.
 * pi/2 comes in two parts, the first with so few bits that turns times it is exact. */
static void sine_cosine(double angle, float *sine, float *cosine)
{
    double turns = nearbyint(angle * 0.63661977236758134), x = angle - turns * 0x1.921fb544p+0 - turns * 0x1.0b4611a626331p-34;
    double x2 = x * x;
    double s = x * (1 - x2 / 6 * (1 - x2 / 20 * (1 - x2 / 42 * (1 - x2 / 72 * (1 - x2 / 110)))));
    double c = 1 - x2 / 2 * (1 - x2 / 12 * (1 - x2 / 30 * (1 - x2 / 56 * (1 - x2 / 90 * (1 - x2 / 132)))));
    int quarter = (int)((int64_t)turns & 3);
    *sine = (float)(quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c);
    *cosine = (float)(quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s);
}

/* What a task needs besides its rows: the frequencies of D/2 pairs, and the sines and cosines of one position. */
struct circle { float *frequency, *sine, *cosine; };

static double scaled(struct rope r, int j, double f)
{
    if (!(r.factor > 0)) return f;
    double s = ((r.by_pair ? j : f) - (double)r.from) / ((double)r.to - (double)r.from);
    s = s > 1 ? 1 : s > 0 ? s : 0;
    return f * (s + (1 - s) / (double)r.factor);
}

static struct circle circle(struct rope r, float *memory)
{
    struct circle c = { memory, memory + r.dim / 2, memory + r.dim };
    double ratio = pow((double)r.theta, -2.0 / r.dim), f = 1;
    for (int j = 0; j < r.dim / 2; j++, f *= ratio) c.frequency[j] = (float)scaled(r, j, f);
    return c;
}

/* Frequency and angle are rounded to f32, as they were when the models were trained. */
static void set_angles(struct circle c, struct rope r, int32_t pos, float sign)
{
    float gain = r.gain > 0 ? r.gain : 1;
    for (int j = 0; j < r.dim / 2; j++) {
        sine_cosine(c.frequency[j] * (float)pos, &c.sine[j], &c.cosine[j]);
        c.sine[j] *= sign * gain;
        c.cosine[j] *= gain;
    }
}

static void turn_head(const float *x, float *y, int half, struct circle t)
{
    for (int j = 0; j < half; j += VW) {
        vf a = v_load_n(x + j, half - j), b = v_load_n(x + half + j, half - j), s = v_load_n(t.sine + j, half - j), c = v_load_n(t.cosine + j, half - j);
        v_store_n(y + j, a * c - b * s, half - j);
        v_store_n(y + half + j, b * c + a * s, half - j);
    }
}

/* Rows of `from`, turned forward or back. */
static void turn_rows(const struct step *s, const struct operand *from, int task, float sign, float *scratch)
{
    struct rope r = ATTR(s, struct rope);
    const int32_t *pos = s->in[1].p;
    int64_t cols = from->cols;
    float *buffer = scratch, *y = buffer + cols + VW;
    struct circle t = circle(r, y + cols + VW);
    struct range range = row_range(s, task, cols);
    for (int64_t row = range.from; row < range.to; row++) {
        const float *x = row_in(from, row, 0, cols, buffer);
        set_angles(t, r, pos[row], sign);
        for (int64_t h = 0; h < cols; h += r.dim) turn_head(x + h, y + h, r.dim / 2, t);
        if (s->dir == 'B') gradient_out(s, 0, row, 0, cols, y, buffer);
        else row_out(&s->y, row, 0, cols, y);
    }
}

static void forward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    turn_rows(s, &s->in[0], task, 1, scratch);
}

static void backward(const struct step *s, int phase, int task, void *scratch)
{
    (void)phase;
    turn_rows(s, &s->dy, task, -1, scratch);
}

static size_t scratch(const struct step *s) { return (4 * (size_t)s->node->cols + 3 * VW) * sizeof(float); }
static int64_t cost(const struct step *s) { return step_rows(s, s->node) * s->node->cols * 20; }

const struct cpu_op NAME(cpu_rope) = {
    .forward = { .base = { .name = "rope" }, .tasks = plain_tasks, .run = forward, .scratch = scratch, .cost = cost },
    .backward = { .base = { .name = "rope'" }, .tasks = plain_tasks, .run = backward, .scratch = scratch, .cost = cost },
};
