//go:build !linux

package private

import "syscall"

// Elsewhere a server outlives a parent that was killed.
func dieWithParent(*syscall.SysProcAttr) {}
