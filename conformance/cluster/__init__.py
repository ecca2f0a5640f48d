"""A kind cluster's life: create, pristine, reset, delete; the journal of a run, and what removes its leavings."""
