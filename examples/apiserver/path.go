package main

import "strings"

// tenantOf splits the path of a request into the tenant and the rest.
func tenantOf(path string) (name, rest string, ok bool) {
	inside, ok := strings.CutPrefix(path, clustersPrefix)
	if !ok {
		return "", "", false
	}
	name, rest, _ = strings.Cut(inside, "/")
	return name, "/" + rest, true
}

// first returns the first segment of a path.
func first(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}
