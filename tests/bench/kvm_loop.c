/*
 * The exits of one FIFO loop, as fast as C makes them: what the Python binding is held against.
 *
 * Guest: 32-bit protected mode, `mov al, [0xfed40024]; jmp` back. Each line on standard input
 * is a number of exits to make; the answer is the nanoseconds of processor time that
 * they took.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

enum { RAM = 0x10000, START = 0x1000 };
static const uint8_t guest[] = {0xa0, 0x24, 0x00, 0xd4, 0xfe, 0xeb, 0xf9};

static int check(int result, const char *act)
{
	if (result < 0) {
		perror(act);
		exit(2);
	}
	return result;
}

static void protected_mode(int vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = START, .rflags = 2};
	struct kvm_segment flat = {.limit = 0xffffffff, .selector = 16, .type = 3,
				   .present = 1, .db = 1, .s = 1, .g = 1};

	check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = flat;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 = 0x31;
	check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	check(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(void)
{
	int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	char *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.memory_size = RAM,
						     .userspace_addr = (uintptr_t)ram};
	int vcpu, size;
	struct kvm_run *run;
	long exits;

	memcpy(ram + START, guest, sizeof(guest));
	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	protected_mode(vcpu);

	while (scanf("%ld", &exits) == 1) {
		long start = now();

		for (long i = 0; i < exits; i++) {
			check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
			if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.is_write)
				return 1;
			run->mmio.data[0] = 0x55;
		}
		printf("%ld\n", now() - start);
		fflush(stdout);
	}
	return 0;
}
