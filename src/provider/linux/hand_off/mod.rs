//! Queues for parcels. The kernel's queue is the ledger: what lies in it nobody has taken, and either end can take it.
//!
//! A sender makes the queue, a pair of sockets, and gives the receiving end to its target in a greeting. It keeps a second
//! descriptor of that end and none of what it hands off: when the target has ended, what it did not take still lies there,
//! and its sender takes it back. Since both can take, but only one message at a time, the kernel settles who has what.

mod eager;
mod greeting;
mod incoming;
mod lingering;
mod progress;
mod queue;
mod receiver;
mod sender;
mod sent;

pub(crate) use progress::Progress;
pub(crate) use receiver::InnerReceiver;
pub(crate) use sender::InnerSender;
