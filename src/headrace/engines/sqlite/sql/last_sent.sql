select last_insert_rowid() - ?
