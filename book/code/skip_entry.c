/* A VMM that takes the request to stop for a reason not to enter: for LD_PRELOAD.
 *
 *     gcc -shared -fPIC -o skip_entry.so skip_entry.c -ldl
 *
 * With immediate_exit set, KVM_RUN fails with EINTR here, and the kernel is not entered.
 * One vCPU.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

static int vcpu = -1;
static struct kvm_run *run;

int ioctl(int fd, unsigned long request, ...)
{
        static int (*next)(int, unsigned long, void *);
        va_list arguments;
        va_start(arguments, request);
        void *argument = va_arg(arguments, void *);
        va_end(arguments);
        if (!next)
                next = dlsym(RTLD_NEXT, "ioctl");
        if (fd == vcpu && (unsigned)request == KVM_RUN && run && run->immediate_exit) {
                errno = EINTR;
                return -1;
        }
        int result = next(fd, request, argument);
        if ((unsigned)request == KVM_CREATE_VCPU && result >= 0)
                vcpu = result;
        return result;
}

void *mmap64(void *where, size_t size, int prot, int flags, int fd, off_t offset)
{
        static void *(*next)(void *, size_t, int, int, int, off_t);
        if (!next)
                next = dlsym(RTLD_NEXT, "mmap64");
        void *result = next(where, size, prot, flags, fd, offset);
        if (fd >= 0 && fd == vcpu && offset == 0 && result != MAP_FAILED)
                run = result;
        return result;
}

void *mmap(void *where, size_t size, int prot, int flags, int fd, off_t offset)
{
        return mmap64(where, size, prot, flags, fd, offset);
}
