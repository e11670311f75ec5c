/* A disk that fails: what writes below the folder FAILING_FOLDER ends with EIO while the file FAILING_SIGN exists.
   For LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fails(const char *path) {
    const char *folder = getenv("FAILING_FOLDER"), *sign = getenv("FAILING_SIGN");
    int failing = folder && sign && !strncmp(path, folder, strlen(folder)) && !access(sign, F_OK);
    if (failing) errno = EIO;
    return failing;
}

static int file_fails(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count) {
    return file_fails(file) ? -1 : REAL(write)(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return file_fails(file) ? -1 : REAL(pwrite64)(file, bytes, count, at);
}

int fsync(int file) { return file_fails(file) ? -1 : REAL(fsync)(file); }

int fdatasync(int file) { return file_fails(file) ? -1 : REAL(fdatasync)(file); }

int unlink(const char *path) { return fails(path) ? -1 : REAL(unlink)(path); }

int mkdir(const char *path, mode_t mode) { return fails(path) ? -1 : REAL(mkdir)(path, mode); }

int rename(const char *old, const char *new) { return fails(new) ? -1 : REAL(rename)(old, new); }

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int creates = flags & O_CREAT && access(path, F_OK);
    return creates && fails(path) ? -1 : REAL(open64)(path, flags, mode);
}
