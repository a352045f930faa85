list(APPEND plugin_libs PkgConfig::HIREDIS PkgConfig::OPENSSL)
list(APPEND plugin_parts redis)
