"""Mistakes that a kernel or a VMM could make, and the check that catches each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.faults import checks, vmm_checks
from kvmexit.faults.breaks import (
    accumulate,
    all_to_device,
    break_at_512,
    clear_reason,
    clear_request,
    early_register,
    first_piece_only,
    forget_device,
    forget_kick,
    forget_pending,
    forget_registers,
    forget_vectors,
    ignore_request,
    keep_answer,
    late_msr,
    leave_request,
    look_first,
    memory_before_drain,
    no_pages,
    observe,
    one_slot,
    pending_in_state,
    policy,
    retire,
    stop_once,
    swap,
    without_serving,
    wrap,
    zero_data,
)
from kvmexit.faults.checks import Check
from kvmexit.guest import strings
from kvmexit.kernel import emulator
from kvmexit.kernel.retirement import EMULATOR, Pc
from kvmexit.kernel.simulated import SimulatedKernel, SimulatedVcpu
from kvmexit.kernel.simulated_page import SimulatedRun
from kvmexit.vmm import machine as vmm
from kvmexit.vmm.machine import Machine


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake in words, how it is made, and the check that must catch it."""

    name: str
    where: str
    make: Callable[[], Any]
    caught_by: Check


def _run(around: Callable[..., Any]) -> Callable[[], Any]:
    return wrap(SimulatedVcpu, "run", around)


FAULTS = (
    Fault(
        "a read retires before it is answered",
        "kernel",
        retire(replace(EMULATOR, mmio_read=Pc.PAST)),
        checks.a_read_waits_for_its_completion,
    ),
    Fault(
        "a write retires at completion",
        "kernel",
        retire(replace(EMULATOR, mmio_write=Pc.AT)),
        checks.a_write_retires_before_its_exit,
    ),
    Fault(
        "the register is written at the exit",
        "kernel",
        wrap(SimulatedVcpu, "_pause", early_register),
        checks.a_read_waits_for_its_completion,
    ),
    Fault(
        "an MSR write retires before its exit",
        "kernel",
        wrap(SimulatedVcpu, "_pause", late_msr),
        checks.an_msr_write_waits_for_its_completion,
    ),
    Fault(
        "immediate_exit is looked at before completion",
        "kernel",
        _run(look_first),
        checks.completion_comes_before_immediate_exit,
    ),
    Fault(
        "immediate_exit is ignored",
        "kernel",
        _run(ignore_request),
        checks.immediate_exit_executes_nothing,
    ),
    Fault(
        "immediate_exit is cleared by the kernel",
        "kernel",
        _run(clear_request),
        checks.immediate_exit_stays_until_cleared,
    ),
    Fault(
        "exit_reason is cleared at EINTR",
        "kernel",
        _run(clear_reason),
        checks.exit_reason_is_stale_after_eintr,
    ),
    Fault(
        "only the first fragment of a write is delivered",
        "kernel",
        wrap(SimulatedVcpu, "_complete", first_piece_only),
        checks.every_fragment_is_an_exit,
    ),
    Fault(
        "an access is not cut at the end of a page",
        "kernel",
        lambda: swap(emulator, "fragments", no_pages),
        checks.every_fragment_is_an_exit,
    ),
    Fault(
        "every fragment of a read lands in the first place",
        "kernel",
        wrap(SimulatedVcpu, "_complete", one_slot),
        checks.a_vector_goes_in_pieces_of_eight,
    ),
    Fault(
        "the RAM half of a write goes to the device as well",
        "kernel",
        wrap(SimulatedVcpu, "_store", all_to_device),
        checks.the_ram_half_of_an_access_is_no_exit,
    ),
    Fault(
        "the page is cleared at a read exit",
        "kernel",
        wrap(SimulatedRun, "report", zero_data),
        checks.an_unanswered_read_gets_what_lies_in_the_page,
    ),
    Fault(
        "an answer survives the loading of registers",
        "kernel",
        wrap(SimulatedVcpu, "set_state", keep_answer),
        checks.loading_registers_drops_a_pending_answer,
    ),
    Fault(
        "loading registers cancels what is pending",
        "kernel",
        wrap(SimulatedVcpu, "set_state", forget_pending),
        checks.loading_registers_does_not_cancel_a_pending_read,
    ),
    Fault(
        "reading registers drops a pending answer",
        "kernel",
        wrap(SimulatedVcpu, "get_state", observe),
        checks.reading_registers_changes_nothing,
    ),
    Fault(
        "the pending half is in the saved state",
        "kernel",
        pending_in_state,
        checks.a_new_vm_repeats_an_unfinished_read,
    ),
    Fault(
        "a repeated read takes a break every 512",
        "kernel",
        wrap(SimulatedVcpu, "_access", break_at_512),
        checks.a_repeated_read_takes_a_break_every_1024,
    ),
    Fault(
        "port input is not read ahead",
        "kernel",
        lambda: swap(strings, "_ahead", lambda cpu, insn: 1),
        checks.port_input_reads_ahead_to_the_end_of_the_page,
    ),
    Fault(
        "port input reads ahead over the end of the page",
        "kernel",
        lambda: swap(strings, "_ahead", lambda cpu, insn: min(1024, cpu.gpr[1])),
        checks.port_input_reads_ahead_to_the_end_of_the_page,
    ),
    Fault(
        "a write to a device does not interrupt a repeated instruction",
        "kernel",
        wrap(SimulatedVcpu, "_store", lambda old, *args: old(*args) and False),
        checks.a_repeated_write_stops_at_each_exit,
    ),
    Fault(
        "every push of pusha is delivered",
        "kernel",
        wrap(SimulatedVcpu, "_store", accumulate),
        checks.pusha_sends_its_last_push_alone,
    ),
    Fault(
        "a kick is forgotten outside KVM_RUN",
        "kernel",
        lambda: swap(SimulatedVcpu, "kick", forget_kick),
        checks.a_kick_is_not_lost,
    ),
    Fault(
        "the drain enters once only",
        "VMM",
        policy("drain", vmm.kick_once),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain enters twice only",
        "VMM",
        policy("drain", stop_once),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain does not serve what it meets",
        "VMM",
        policy("drain", without_serving),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain leaves immediate_exit set",
        "VMM",
        policy("drain", leave_request),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "memory is copied before the drain writes to it",
        "VMM",
        memory_before_drain,
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the general registers are not restored",
        "VMM",
        wrap(Machine, "restore", forget_registers),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the vector registers are not restored",
        "VMM",
        wrap(Machine, "restore", forget_vectors),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the device is not restored",
        "VMM",
        wrap(Machine, "restore", forget_device),
        vmm_checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "serving once is entering once",
        "VMM",
        policy("serve-once", vmm.kick_once),
        vmm_checks.each_policy_lets_go_where_the_atlas_says,
    ),
)


def is_caught(fault: Fault) -> str | None:
    """What the fault's check says while the fault is there; None if it notices nothing."""
    with fault.make():
        try:
            fault.caught_by(SimulatedKernel())
        except (AssertionError, KvmExitError) as problem:
            return str(problem)
    return None
