/* Storage that fails on demand, put under a program by LD_PRELOAD: while the file named by
 * FAULTY_STORAGE exists, writes to the files of bundles fail with the number in it. With
 * "short" after the number half of the bytes are written first, as on a disk that fills. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fault(int fd, int *torn)
{
    char link[64], path[4096], text[64] = "";
    const char *control = getenv("FAULTY_STORAGE");
    if (!control)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = 0;
    if (!strstr(path, ".simckpt."))
        return 0;
    FILE *file = fopen(control, "r");
    if (!file)
        return 0;
    if (!fgets(text, sizeof text, file))
        text[0] = 0;
    fclose(file);
    if (torn)
        *torn = strstr(text, "short") != NULL;
    return atoi(text);
}

#define PWRITE(name)                                                                     \
    ssize_t name(int fd, const void *data, size_t size, off_t offset)                    \
    {                                                                                    \
        static ssize_t (*real)(int, const void *, size_t, off_t);                        \
        int torn = 0, error = fault(fd, &torn);                                          \
        if (!real)                                                                       \
            real = dlsym(RTLD_NEXT, #name);                                              \
        if (error) {                                                                     \
            if (torn)                                                                    \
                real(fd, data, size / 2, offset);                                        \
            errno = error;                                                               \
            return -1;                                                                   \
        }                                                                                \
        return real(fd, data, size, offset);                                             \
    }

PWRITE(pwrite)
PWRITE(pwrite64)

#define ON_FILE(name, type, ...)                                                         \
    static int (*real_##name) type;                                                      \
    if (!real_##name)                                                                    \
        real_##name = dlsym(RTLD_NEXT, #name);                                           \
    int error = fault(fd, NULL);                                                         \
    if (error) {                                                                         \
        errno = error;                                                                   \
        return -1;                                                                       \
    }                                                                                    \
    return real_##name(__VA_ARGS__);

int fsync(int fd) { ON_FILE(fsync, (int), fd) }
int fdatasync(int fd) { ON_FILE(fdatasync, (int), fd) }
int ftruncate(int fd, off_t size) { ON_FILE(ftruncate, (int, off_t), fd, size) }
int ftruncate64(int fd, off_t size) { ON_FILE(ftruncate64, (int, off_t), fd, size) }
