mod help;
mod measures;
mod redaction;
mod scripts;
mod serving;
mod stage;
mod supervising;
mod transcript;
