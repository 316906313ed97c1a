/* libfaketime 0.9 knows pthread_cond_timedwait and not its twin of C11, by which librdkafka waits: a false deadline
   would reach glibc as it is, and every wait of a Kafka client would last an hour. So one goes by way of the other. */

#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    int result = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}
