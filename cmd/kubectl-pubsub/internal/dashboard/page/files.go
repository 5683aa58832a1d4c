// Package page holds the dashboard's page: what a browser loads. Its sources are in src; dist is
// made from them by `make generate`, and committed, so that building the plugin needs Go alone.
package page

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files are index.html, app.js, app.css and icon.svg. The page has no other resources, and works under
// the Content-Security-Policy "default-src 'none'; script-src 'self'; style-src 'self'; connect-src
// 'self'; img-src 'self' data:".
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}
