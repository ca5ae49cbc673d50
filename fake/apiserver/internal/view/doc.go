// Package view has the forms in which clients of a fake API server want objects: whole,
// their metadata, or as the tables that kubectl prints.
package view
