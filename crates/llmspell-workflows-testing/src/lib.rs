//! What the tests of workflows are made of.
