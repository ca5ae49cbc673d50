// Package api describes the API of a fake API server to its clients: discovery, the
// version, health, and as much OpenAPI as kubectl needs.
package api
