"""Where rows come from and go: tables, files, and the way between."""
