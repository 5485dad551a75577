/* finite.h -- are numbers of a format neither infinite nor NaN? */
#ifndef BASE_FINITE_H
#define BASE_FINITE_H
#include "base/dtype.h"

int are_finite(const void *x, enum dtype type, size_t n);        /* n numbers, aligned or not; integers are */

#endif
