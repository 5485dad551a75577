/* threads.h -- whether threads can be had.  OpenMP's runtime ends the program where they cannot. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

/* Starts n - 1 beside this one, all at once, and ends them again.  E_MEMORY: a limit of the system is in the way (memory, processes). */
int threads_try(int n);

#endif
