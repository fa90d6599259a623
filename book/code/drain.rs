//! The drain in Rust. Checked by rustc 1.95 against kvm-ioctls 0.22.1; not run.

use kvm_ioctls::{Error, VcpuExit, VcpuFd};

/// The devices of the VMM.
pub struct Bus;

impl Bus {
    fn serve(&mut self, exit: VcpuExit) -> Result<(), Error> {
        match exit {
            VcpuExit::IoIn(_, data) => data.fill(0),
            VcpuExit::MmioRead(_, data) => data.fill(0),
            VcpuExit::IoOut(..) | VcpuExit::MmioWrite(..) => (),
            _ => return Err(Error::new(libc::ENOTSUP)),
        }
        Ok(())
    }
}

/// In the vCPU's own thread, with the last exit served, before state is read.
pub fn drain(vcpu: &mut VcpuFd, bus: &mut Bus) -> Result<(), Error> {
    vcpu.set_kvm_immediate_exit(1);
    let result = loop {
        match vcpu.run() {
            Ok(exit) => {
                if let Err(error) = bus.serve(exit) {
                    break Err(error); // it must not be saved
                }
            }
            Err(error) if error.errno() == libc::EINTR => break Ok(()),
            Err(error) if error.errno() == libc::EAGAIN => (),
            Err(error) => break Err(error),
        }
    };
    vcpu.set_kvm_immediate_exit(0);
    result
}

