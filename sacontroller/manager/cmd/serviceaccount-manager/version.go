package main

import (
	"fmt"
	"runtime/debug"
)

// version says which build this is: the version of the module that holds the
// program, and of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "serviceaccount-manager, built without module information"
	}
	text := fmt.Sprintf("serviceaccount-manager %s %s", info.Main.Version, info.GoVersion)
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			text += " " + setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			text += " modified"
		}
	}
	return text
}
