"""Plausible wrong answers: the marks a lecturer would give, and words of the reason.

Each file is whole, as one student hands it in, so devices begin alike in several of them.
"""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "wrong"

EXPECTED = {
    # a constant is no rule
    "1_always_ok": ("1.1", 0, "you say 'ok' for a data read, served, policy save-at-once"),
    # right for every access of one exit
    "1_forgets_the_second_piece": ("1.1", 4, "two pieces: landing"),
    "1_runs_the_simulator": ("1.1", 0, "uses kvmexit.packet.Scenario: the answer must be your own"),
    # enough for a byte a read and for an `or` of one piece, not for an access of two reads
    "2_drains_once": ("2.1", 3, "wide: landing"),
    "2_ignores_the_result": ("2.1", 2, "wide: landing"),
    "2_reads_the_stale_reason": ("2.1", 0, "a read of 1 byte at 0xfed40024"),
    "2_clears_too_early": ("2.1", 0, "KVM_RUN was called while immediate_exit was 0"),
    # the kick that came with the request is over
    "2_never_sets": ("2.1", 0, "KVM_RUN was called while immediate_exit was 0"),
    # harmless in a new VM, whose page is new
    "2_never_clears": ("2.1", 4, "same vCPU: landing at exit 1 "),
    "2_saves_at_once": ("2.1", 0, "driver, new VM: landing"),
    # only rep movsb completes into memory
    "2_saves_memory_first": ("2.2", 2, "string: landing"),
    "2_closes_the_device_first": ("2.2", 1, "string: landing"),
    "2_leaves_the_device_open": ("2.2", 0, "the device is still open"),
    "2_knows_the_packet": ("2.1", None, "wide: landing"),
    "2_reads_the_answer_key": ("2.1", 0, "uses kvmexit.vmm.drain: the answer must be your own"),
    "2_opens_the_answer_key": ("2.1", 0, "Operation not permitted"),
    "2_loops_for_ever": ("2.1", 0, "loop for ever?"),
    "2_polls_for_ever": ("2.1", 0, "for ever?"),
    "2_allocates_without_bound": ("2.1", 0, "raised MemoryError"),
    "2_raises_system_exit": ("2.1", 0, "raised SystemExit"),
    "2_ends_the_process": ("2.1", 0, "ended its own process"),
    "2_kills_the_grader": ("2.1", 0, "Operation not permitted"),
    "2_forges_messages": ("2.1", 0, "spoke out of turn"),
    "2_floods_the_pipe": ("2.1", 0, "flooded the pipe"),
    "2_writes_files": ("2.1", 0, "missing"),
    "3_never_says_none": ("3.1", 1, "the VMM that drains, stopped at read 11"),
    "3_rewinds_on_load": ("3.2", 0, "duplicate"),
    "3_remembers_in_a_global": ("3.2", 0, "old driver, right VMM"),
    "3_drops_commands": ("3.2", 4, "does not end the response"),
    "3_offers_what_was_read": ("3.2", 1, "Error left over data"),
    "4_looks_for_any_entry": ("4.1", 3, "two vCPUs: log"),
    "4_mixes_the_vcpus": ("4.1", 4, "two vCPUs: log"),
    # a byte a read needs no more than one entry
    "5_ignores_the_result": ("5.1", 2, "device had done its part, on the real kernel: missing"),
    "6_knows_x86_only": ("6.1", 0, "that is not what happens"),
}
"""File: (question, points or None where luck may give some, what the reason says)."""
