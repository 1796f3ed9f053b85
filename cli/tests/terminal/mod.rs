//! Tests of the views.

mod drawing;
mod emulator;
mod live;
mod pages;
mod player;
mod rates;
mod samples;
