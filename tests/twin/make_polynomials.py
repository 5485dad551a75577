#!/usr/bin/env python3
"""The coefficients of src/cpu/vec.h, made anew: minimax polynomials by Lawson's iteratively reweighted least squares on a
Chebyshev grid, in 50 digits, then rounded to f32 from the highest power down, each rounding corrected for by the rest.

Prints C initialisers, lowest power first, and the largest error of each approximation in exact arithmetic.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 40


def fit(f, lo, hi, powers, relative=True, points=400, rounds=60, fixed=()):
    """c with sum c_k x^p_k ~ f on [lo, hi]; `fixed` = [(power, value)] are given."""
    xs = [lo + (hi - lo) * (1 - mp.cos(mp.pi * (i + mp.mpf(1) / 2) / points)) / 2 for i in range(points)]
    target = [f(x) - sum(v * x**p for p, v in fixed) for x in xs]
    scale = [abs(f(x)) if relative else mp.mpf(1) for x in xs]
    # normalised columns keep the least squares well conditioned in long double
    a = np.array([[np.longdouble(str(x**p / s)) for p in powers] for x, s in zip(xs, scale)])
    b = np.array([np.longdouble(str(t / s)) for t, s in zip(target, scale)])
    norm = np.abs(a).max(axis=0)
    a = a / norm
    w = np.ones(points, np.longdouble)
    for _ in range(rounds):
        q, r = qr(a * np.sqrt(w)[:, None])
        c = back(r, q.T @ (b * np.sqrt(w)))
        e = np.abs(a @ c - b)
        w = w * e
        w = w / w.sum() * points + np.longdouble(1e-30)
    return [mp.mpf(str(v)) for v in c / norm]


def qr(a):
    q, r = np.zeros_like(a), np.zeros((a.shape[1],) * 2, a.dtype)
    for _ in range(2):  # twice is enough
        base = a if _ == 0 else q.copy()
        r2 = np.zeros_like(r)
        for j in range(base.shape[1]):
            v = base[:, j].copy()
            for i in range(j):
                r2[i, j] = q[:, i] @ v
                v -= r2[i, j] * q[:, i]
            r2[j, j] = np.sqrt(v @ v)
            q[:, j] = v / r2[j, j]
        r = r2 if _ == 0 else r2 @ r
    return q, r


def back(r, y):
    x = np.zeros_like(y)
    for i in range(len(y) - 1, -1, -1):
        x[i] = (y[i] - r[i, i + 1:] @ x[i + 1:]) / r[i, i]
    return x


def rounded(f, lo, hi, powers, relative=True):
    """Coefficients that are f32: rounded one by one from the highest power, the others fitted again."""
    fixed, left = [], list(powers)
    while left:
        c = fit(f, lo, hi, left, relative, fixed=fixed, rounds=40)
        p = left.pop()
        fixed.append((p, mp.mpf(float(np.float32(float(c[-1]))))))
    fixed.sort()
    worst = max(abs((sum(v * x**p for p, v in fixed) - f(x)) / (f(x) if relative else 1)) for x in
                [lo + (hi - lo) * mp.mpf(i) / 2000 for i in range(1, 2001)])
    return [v for _, v in fixed], worst


def rational(f, hi, above, below, points=300, rounds=40):
    """A(x) / B(x) ~ f(x) on [0, hi], B_0 = 1, with f32 coefficients that are rounded one by one like those of polynomials.  The
    equation A - f B = 0 is linear; dividing it by the B of the round before makes its residual the error of the quotient."""
    xs = [(hi * (1 - mp.cos(mp.pi * (i + mp.mpf(1) / 2) / points)) / 2) ** 2 / hi for i in range(points)]
    x, r = (np.array([np.longdouble(str(v)) for v in vs]) for vs in (xs, [f(v) for v in xs]))
    names = [("B", i) for i in range(below, 0, -1)] + [("A", i) for i in range(above, -1, -1)]
    fixed = {}
    while len(fixed) < len(names):
        w, last = np.ones(points, np.longdouble), np.ones(points, np.longdouble)
        left = [k for k in names if k not in fixed]
        for n in range(rounds):
            column = {k: (x ** k[1] if k[0] == "A" else -r * x ** k[1]) / (r * last) for k in names}
            b = 1 / last - sum(column[k] * v for k, v in fixed.items())
            a = np.stack([column[k] for k in left], 1)
            norm = np.abs(a).max(axis=0)
            q, triangle = qr(a / norm * np.sqrt(w)[:, None])
            c = {**fixed, **dict(zip(left, back(triangle, q.T @ (b * np.sqrt(w))) / norm))}
            last = 1 + sum(c[k] * x ** k[1] for k in names if k[0] == "B")
            e = np.abs(sum(c[k] * x ** k[1] for k in names if k[0] == "A") / last / r - 1)
            if n > 5:
                w = w * (e / e.max() + np.longdouble(1e-3))
                w = w / w.sum() * points
        fixed[left[0]] = np.longdouble(np.float32(float(c[left[0]])))
    last = 1 + sum(v * x ** i for (k, i), v in fixed.items() if k == "B")
    return fixed, np.abs(sum(v * x ** i for (k, i), v in fixed.items() if k == "A") / last / r - 1).max()


def show_rational(name, c, worst):
    for part in "AB":
        print(f"{name}: {part} {{ {', '.join(float(v).hex() + 'f' for (k, i), v in sorted(c.items()) if k == part)} }}   error {float(worst):.3g}")


def show(name, result):
    c, worst = result
    print(f"{name}: {{ {', '.join(float(v).hex() + 'f' for v in c)} }}   error {mp.nstr(worst, 3)}")


ln2 = mp.log(2)
show("exp(r), |r| <= ln2/2", rounded(mp.exp, -ln2 / 2 * 1.0001, ln2 / 2 * 1.0001, range(0, 7)))
show("(log(1+f) - f + f^2/2) / f^3, 1+f in [sqrt1/2, sqrt2]",
     rounded(lambda f: mp.mpf(1) / 3 if abs(f) < 1e-12 else (mp.log(1 + f) - f + f * f / 2) / f**3, mp.sqrt(mp.mpf(1) / 2) - 1, mp.sqrt(2) - 1, range(0, 9)))
show_rational("(1 - Phi(u)) e^(u^2/2), u in [0, 14.5]", *rational(lambda u: mp.erfc(u / mp.sqrt(2)) / 2 * mp.exp(u * u / 2), mp.mpf("14.5"), 4, 5))
