//go:build unix

package keeper

import (
	"io/fs"
	"syscall"
)

// hasOwner reports whether the file of info has the owner of want.
func hasOwner(info fs.FileInfo, want File) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (want.UID == nil || *want.UID == int(stat.Uid)) && (want.GID == nil || *want.GID == int(stat.Gid))
}
