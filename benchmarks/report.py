def write_report(r):
    return r.folder
