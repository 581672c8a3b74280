package vfs

// MaxUnused and Unused show the cache to tests.
const MaxUnused = maxUnused

// Unused is how many dentries are cached that nobody holds.
func Unused(ns *Namespace) int { return ns.sys.lru.n }
