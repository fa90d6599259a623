/* Runs book/code/stop_path.c over every landing of one guest on /dev/kvm.
 *
 *     harness SECONDS IMAGE START RESPONSE       (START and RESPONSE in hex)
 *
 * The image is guest RAM from address 0. Line 0 is the run that nobody stops; line n is the run in
 * which the request arrives at the n-th HERE of the vCPU's thread, is saved, loaded into a new VM
 * and goes on there. Each line: number, place, how it ended, registers, device, RAM. A run that
 * does not end within SECONDS is named and ends the program with status 3.
 *
 *     harness SECONDS IMAGE START looked|in
 *
 * A guest that never leaves of its own accord, counting in the word at address 0x800: the request
 * arrives between look and entry, or while the guest is in.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void here(const char *place);
static int kill_noted(pthread_t thread, int signal) __attribute__((unused));
#define HERE(place) here(place)
#define pthread_kill kill_noted
#include STOP_PATH
#undef pthread_kill

enum { FIFO = 0xfed40024, XFIFO = 0xfed40080, STS = 0xfed40018, COUNTER = 0x800 };
enum { VALID = 0x80, READY = 0x40, AVAIL = 0x10 };

/* The TPM of 2011, as in kvmexit/vmm/devices.py: a byte past the end is zero. */
static struct tis { int offset, status, discarded, reads; } tis, saved_tis;
static uint8_t response[4096];
static int length, kvm, at, wanted;
static const char *place = "-";
static sem_t go;
static atomic_bool signalled;
static struct vm vm;

static int check(int result, const char *act)
{
	if (result < 0) {
		perror(act);
		exit(2);
	}
	return result;
}

static uint8_t pop(void)
{
	uint8_t byte = tis.status & AVAIL && tis.offset < length ? response[tis.offset++] : 0;

	tis.reads++;
	if (tis.offset >= length)
		tis.status &= ~AVAIL;
	return byte;
}

static uint32_t sts(int size)
{
	uint32_t burst = tis.status & AVAIL ? length - tis.offset : 4096 - tis.offset;

	if (!(tis.status & AVAIL) && size == 1 && burst > 0xff)
		burst = 0xff;
	return 0x04000000 | burst << 8 | tis.status;
}

int serve(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	if (run->exit_reason == KVM_EXIT_HLT)
		return HALTED;
	if (run->exit_reason == KVM_EXIT_SHUTDOWN)
		return SHUT_DOWN;
	if (run->exit_reason != KVM_EXIT_MMIO)
		return -EIO;
	uint64_t gpa = run->mmio.phys_addr;
	bool data = (gpa >= FIFO && gpa < FIFO + 4) || (gpa >= XFIFO && gpa < XFIFO + 0x40);

	if (run->mmio.is_write) {
		if (gpa == STS && run->mmio.data[0] & READY) {
			tis.discarded = tis.status & AVAIL ? length - tis.offset : tis.discarded;
			tis.offset = 0;
			tis.status = READY;
		}
		return 0;
	}
	memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	if (gpa >= STS && gpa < STS + 4) {
		uint32_t word = sts(run->mmio.len) >> 8 * (gpa - STS);

		memcpy(run->mmio.data, &word, 4 - (gpa - STS));
	}
	for (unsigned i = 0; data && i < run->mmio.len; i++)
		run->mmio.data[i] = pop();
	return 0;
}

void stop_devices(void)
{
	/* this one has no thread of its own */
}

void save_devices(void)
{
	saved_tis = tis;
}

static void *thread(void *v)
{
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, SIG_KICK);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	return (void *)(intptr_t)run_vcpu(v);
}

/* At the wanted landing: let the other thread ask, and wait until its signal is here. */
static void here(const char *where)
{
	sigset_t old, kick;

	if (where[0] == 'k') { /* in the middle of the kick, in the asking thread */
		volatile uint32_t *count = (uint32_t *)(vm.ram + COUNTER), was = *count;

		while (signalled && *count == was)
			; /* the signal is spent: wait until the guest is in */
		return;
	}
	if (vm.vcpu[0].run->exit_reason == KVM_EXIT_HLT ||
	    vm.vcpu[0].run->exit_reason == KVM_EXIT_SHUTDOWN)
		return; /* the run has ended: that a vCPU sleeps is for its VMM to know */
	if (++at != wanted)
		return;
	place = where;
	sigemptyset(&kick);
	sigaddset(&kick, SIG_KICK);
	pthread_sigmask(SIG_BLOCK, &kick, &old);
	sem_post(&go);
	sigsuspend(&old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int kill_noted(pthread_t thread, int signal)
{
	signalled = true;
	return pthread_kill(thread, signal);
}

static void new_vm(const uint8_t *ram, size_t size, uint32_t start)
{
	vm = (struct vm){.vcpus = 1, .size = size};
	vm.fd = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	check(ioctl(vm.fd, KVM_SET_TSS_ADDR, 0x7fffd000), "KVM_SET_TSS_ADDR");
	check(prepare(vm.fd), "prepare");
	vm.ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(vm.ram, ram, size);
	struct kvm_userspace_memory_region region = {.memory_size = size,
						     .userspace_addr = (uintptr_t)vm.ram};
	check(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	struct vcpu *v = &vm.vcpu[0];
	int bytes = check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");

	v->fd = check(ioctl(vm.fd, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	v->run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = start, .rflags = 2, .rax = 0xffff};
	struct kvm_segment flat = {.limit = 0xffffffff, .selector = 16, .type = 3,
				   .present = 1, .db = 1, .s = 1, .g = 1};

	check(ioctl(v->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = flat;
	sregs.cs.selector = 8;
	sregs.cs.type = 11;
	sregs.cr0 = 0x31;
	sregs.cr4 = 0x200;
	memset(&sregs.gdt, 0, sizeof(sregs.gdt));
	memset(&sregs.idt, 0, sizeof(sregs.idt));
	check(ioctl(v->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	check(ioctl(v->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void close_vm(void)
{
	munmap(vm.vcpu[0].run, getpagesize());
	close(vm.vcpu[0].fd);
	close(vm.fd);
	munmap(vm.ram, vm.size);
}

static int finish(void)
{
	void *how;

	check(-pthread_create(&vm.vcpu[0].thread, NULL, thread, &vm.vcpu[0]), "pthread_create");
	pthread_join(vm.vcpu[0].thread, &how);
	return (intptr_t)how;
}

/* One run, stopped at landing `wanted`; 0 for none. False if the landing is past the end. */
static bool run(const uint8_t *image, size_t size, uint32_t start)
{
	static uint8_t ram[1 << 16];
	struct vcpu_state state;
	struct kvm_regs regs;
	int how;

	tis = (struct tis){.status = VALID | AVAIL};
	at = 0;
	place = "-";
	signalled = false;
	new_vm(image, size, start);
	if (wanted) {
		struct vcpu *v = &vm.vcpu[0];

		check(-pthread_create(&v->thread, NULL, thread, v), "pthread_create");
		/* the landing, or the end of the run */
		while (sem_trywait(&go))
			if (pthread_tryjoin_np(v->thread, NULL) == 0) {
				close_vm();
				return false;
			}
		check(save_vm(&vm, &state, ram), "save_vm");
		close_vm();
		tis = saved_tis;
		new_vm(ram, size, start);
		check(load_vcpu(&vm.vcpu[0], &state), "load_vcpu");
	}
	how = finish();
	check(ioctl(vm.vcpu[0].fd, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	uint64_t sum = 14695981039346656037u; /* FNV-1a of the guest's RAM */

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ vm.ram[i]) * 1099511628211u;
	printf("%d %s end=%d", wanted, place, how);
	if (how == HALTED)
		printf(" eax=%llx ebx=%llx ecx=%llx edx=%llx esi=%llx edi=%llx ebp=%llx esp=%llx rip=%llx",
		       regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp,
		       regs.rsp, regs.rip);
	printf(" offset=%d status=%x discarded=%d reads=%d ram=%016llx\n", tis.offset, tis.status,
	       tis.discarded, tis.reads, (unsigned long long)sum);
	fflush(stdout);
	close_vm();
	return true;
}

static void overdue(int signal)
{
	char text[80];
	int size = snprintf(text, sizeof(text), "landing %d (%s): the stop never ends\n", wanted, place);

	(void)signal;
	(void)!write(1, text, size);
	_exit(3);
}

static void spin(const uint8_t *image, size_t size, uint32_t start, bool in)
{
	static uint8_t ram[1 << 16];
	struct vcpu_state state;

	new_vm(image, size, start);
	volatile uint32_t *count = (uint32_t *)(vm.ram + COUNTER);

	wanted = in ? 0 : 1;
	check(-pthread_create(&vm.vcpu[0].thread, NULL, thread, &vm.vcpu[0]), "pthread_create");
	if (in)
		while (!*count)
			;
	else
		sem_wait(&go);
	place = in ? "in the guest" : "looked";
	check(save_vm(&vm, &state, ram), "save_vm");
	printf("stopped\n");
	close_vm();
}

int main(int argc, char **argv)
{
	static uint8_t image[1 << 16];
	FILE *file = argc == 5 ? fopen(argv[2], "rb") : NULL;
	sigset_t kick;

	if (!file) {
		fprintf(stderr, "usage: harness SECONDS IMAGE START RESPONSE|looked|in\n");
		return 2;
	}
	int seconds = atoi(argv[1]);
	size_t size = fread(image, 1, sizeof(image), file);
	uint32_t start = strtoul(argv[3], NULL, 16);

	for (const char *hex = argv[4]; sscanf(hex, "%2hhx", &response[length]) == 1; hex += 2)
		length++;
	kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	sigemptyset(&kick);
	sigaddset(&kick, SIG_KICK);
	pthread_sigmask(SIG_BLOCK, &kick, NULL);
	sem_init(&go, 0, 0);
	signal(SIGALRM, overdue);
	alarm(seconds);
	if (!length) {
		spin(image, size, start, !strcmp(argv[4], "in"));
		return 0;
	}
	while (run(image, size, start)) {
		wanted++;
		alarm(seconds);
	}
	return 0;
}
