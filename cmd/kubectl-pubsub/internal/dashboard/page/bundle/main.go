// Command bundle makes the dashboard's page from its sources: dist/index.html, app.js, app.css
// and icon.svg. The same sources always give the same bytes.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle FOLDER, the one that has src and dist")
		os.Exit(2)
	}
	if err := bundle(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func bundle(folder string) error {
	root, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:       root,
		EntryPointsAdvanced: []api.EntryPoint{{InputPath: "src/main.ts", OutputPath: "app"}},
		Outdir:              "dist",
		Bundle:              true,
		Write:               true,
		Format:              api.FormatESModule,
		// The browsers of 2024, which have light-dark().
		Engines: []api.Engine{
			{Name: api.EngineChrome, Version: "123"},
			{Name: api.EngineFirefox, Version: "120"},
			{Name: api.EngineSafari, Version: "17.5"},
		},
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsInline,
		MinifyWhitespace:  true,
		MinifySyntax:      true,
		MinifyIdentifiers: true,
		Banner:            map[string]string{"js": license, "css": license},
		LogLevel:          api.LogLevelWarning,
		Color:             api.ColorNever,
	})
	if len(result.Errors) > 0 {
		return fmt.Errorf("%s: %d errors", folder, len(result.Errors))
	}
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }()
	for _, name := range []string{"index.html", "icon.svg"} {
		text, err := files.ReadFile(filepath.Join("src", name))
		if err != nil {
			return err
		}
		if err := files.WriteFile(filepath.Join("dist", name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The licence asks for its notice in every copy.
const license = "/*! Made by make generate from src. Contains uPlot 1.6.32, Copyright (c) Leon Sorokin, MIT License: third_party/uplot/LICENSE */"
