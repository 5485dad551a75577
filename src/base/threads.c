/* threads.c -- all of them wait for one lock, so that none has ended before the last has started. */
#include "base/threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void *pass(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

int threads_try(int n)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *thread = calloc((size_t)n, sizeof *thread);
    int started = 1, error = 0;
    FAIL_IF(!thread, E_MEMORY, "no memory for %d threads", n);
    pthread_mutex_lock(&gate);
    while (started < n && !(error = pthread_create(&thread[started], NULL, pass, &gate))) started++;
    pthread_mutex_unlock(&gate);
    for (int i = 1; i < started; i++) pthread_join(thread[i], NULL);
    free(thread);
    FAIL_IF(error, E_MEMORY, "%d threads cannot be started, but %d can: %s; choose so many by --threads", n, started, strerror(error));
    return 0;
}
