// Package lastused records on which day the token of a Secret was last used.
package lastused
