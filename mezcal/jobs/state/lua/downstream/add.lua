-- Have a hook notified of changes, a JSON list of {key, recipe}, in delay milliseconds.
for _, change in ipairs(cjson.decode(ARG.changes)) do
  put_entry(KEY.changes, change[1], {recipe = change[2], again = true}, tonumber(ARG.delay))
end
keep_hook(KEY.changes)
return 1
