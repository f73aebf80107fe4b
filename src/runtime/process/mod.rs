//! The process runtime: each instance is a supervised child process of the same binary. No dependency but the kernel.
