/* The whole stop path, from "the host wants it stopped" to "it runs elsewhere".
 *
 *     gcc -Wall -Wextra -Werror -pthread -c stop_path.c
 *
 * Linux 4.14 or newer, x86-64. The VMM around it has the devices, and for each
 * vCPU a thread, SIG_KICK not blocked, that ends with what run_vcpu returns.
 * HERE marks the places where a request can arrive.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef HERE
#define HERE(place) ((void)0)
#endif
#define SIG_KICK SIGUSR1

struct vcpu {
	int fd;
	struct kvm_run *run; /* the page that the kernel and we share */
	pthread_t thread;    /* the only one that calls KVM_RUN on fd */
	atomic_bool stop;    /* somebody wants this vCPU stopped */
};

/* What this book saves of a vCPU, in the order of reading. */
struct vcpu_state {
	struct kvm_mp_state mp;        /* first: reading it can move CS and RIP */
	struct kvm_vcpu_events events; /* what a completion has left */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	bool halted; /* not in it without an APIC in the kernel: do not enter */
};

struct vm {
	int fd, vcpus;
	struct vcpu vcpu[2];
	uint8_t *ram;
	size_t size;
};

enum outcome { HALTED = 1, SHUT_DOWN, STOPPED }; /* or a negative errno */

/* The devices. 0: served, go on. Otherwise the vCPU cannot go on, and why. */
int serve(struct vcpu *v);
void stop_devices(void);
void save_devices(void);

static void nothing(int signal) { (void)signal; }

/* 1. Once, before any vCPU runs: is the flag looked at? And a handler. */
int prepare(int vm)
{
	struct sigaction act = {.sa_handler = nothing};
	struct kvm_enable_cap payload = {
		.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}};

	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return -ENOTSUP; /* the flag would be ignored, and the guest run on */
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_EXCEPTION_PAYLOAD) > 0 &&
	    ioctl(vm, KVM_ENABLE_CAP, &payload)) /* source and target alike */
		return -errno;
	return sigaction(SIG_KICK, &act, NULL) ? -errno : 0;
}

/* 2. The kick, from one other thread, until this one has ended. The flag is for
 * an entry that is still to come, the signal for a guest that is in; the flag
 * first, or both can be lost. */
void request_stop(struct vcpu *v)
{
	atomic_store(&v->stop, true);
	v->run->immediate_exit = 1;
	HERE("kick");
	pthread_kill(v->thread, SIG_KICK);
}

/* 4. The drain. Entered with the last exit served. */
static int drain(struct vcpu *v)
{
	int result = 0;

	v->run->immediate_exit = 1;
	while (!result) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0)
			result = serve(v); /* another piece, or a debugger's exit */
		else if (errno == EINTR)
			result = STOPPED; /* completed, and nothing came out */
		else if (errno != EAGAIN)
			result = -errno;
	}
	v->run->immediate_exit = 0;
	return result;
}

/* 3. The vCPU's thread: serve first, then look. */
int run_vcpu(struct vcpu *v)
{
	for (;;) {
		if (atomic_load(&v->stop))
			return drain(v);
		HERE("looked");
		if (ioctl(v->fd, KVM_RUN, 0) == 0) {
			HERE("exit");
			int result = serve(v);

			HERE("served");
			if (result)
				return result;
		} else if (errno != EINTR && errno != EAGAIN) {
			return -errno;
		}
	}
}

/* 6. When all vCPUs have stopped, not before: read each, events and all. */
int save_vcpu(const struct vcpu *v, struct vcpu_state *s)
{
	if (ioctl(v->fd, KVM_GET_MP_STATE, &s->mp) ||
	    ioctl(v->fd, KVM_GET_VCPU_EVENTS, &s->events) ||
	    ioctl(v->fd, KVM_GET_REGS, &s->regs) ||
	    ioctl(v->fd, KVM_GET_SREGS, &s->sregs) ||
	    ioctl(v->fd, KVM_GET_XSAVE, &s->xsave))
		return -errno;
	return 0;
}

/* 5 and 7. The whole: vCPUs in two phases, then what they may have changed. */
int save_vm(struct vm *vm, struct vcpu_state *states, uint8_t *ram)
{
	int failed = 0;

	for (int i = 0; i < vm->vcpus; i++)
		request_stop(&vm->vcpu[i]);
	for (int i = 0; i < vm->vcpus; i++) { /* all drained before one is read */
		void *how = NULL;

		pthread_join(vm->vcpu[i].thread, &how);
		if ((intptr_t)how != STOPPED && (intptr_t)how != HALTED)
			failed = (intptr_t)how < 0 ? (intptr_t)how : -EIO;
		states[i].halted = (intptr_t)how == HALTED;
	}
	stop_devices(); /* before a vCPU is read: they raise interrupts in it */
	for (int i = 0; i < vm->vcpus && !failed; i++)
		failed = save_vcpu(&vm->vcpu[i], &states[i]);
	if (failed)
		return failed; /* nothing is saved: see go_on */
	save_devices();
	memcpy(ram, vm->ram, vm->size); /* last: all of these write to it */
	return 0;
}

/* If it failed: what is drained goes on here as if nobody had asked, what has
 * halted when its interrupt comes. `body` calls run_vcpu. */
int go_on(struct vcpu *v, void *(*body)(void *))
{
	v->run->immediate_exit = 0; /* a late kick may have left it set */
	atomic_store(&v->stop, false);
	return -pthread_create(&v->thread, NULL, body, v);
}

/* 8. Elsewhere: the events after the registers, because KVM_SET_REGS drops an
 * exception that is pending. */
int load_vcpu(const struct vcpu *v, const struct vcpu_state *s)
{
	v->run->cr8 = s->sregs.cr8; /* without an APIC, entries take it here */
	if (ioctl(v->fd, KVM_SET_SREGS, &s->sregs) ||
	    ioctl(v->fd, KVM_SET_XSAVE, &s->xsave) ||
	    ioctl(v->fd, KVM_SET_REGS, &s->regs) ||
	    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events) ||
	    ioctl(v->fd, KVM_SET_MP_STATE, &s->mp))
		return -errno;
	return 0;
}
