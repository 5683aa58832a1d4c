// Package page has the dashboard's page: what a browser loads.
package page

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files are the page's, with index.html at the top.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil { // only if the name is not valid
		panic(err)
	}
	return files
}
