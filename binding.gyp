# A thin shim: `node-gyp rebuild` ends in the addon that cmake-js builds, at the same place (build/Release/zstream.node).
{
  "targets": [
    {
      "target_name": "zstream_cmake",
      "type": "none",
      "actions": [
        {
          "action_name": "build_with_cmake_js",
          "message": "Building zstream.node through cmake-js",
          "inputs": [],
          # Never made, so that the build script always runs; it knows itself whether there is anything to do.
          "outputs": ["<(PRODUCT_DIR)/.always-run"],
          "action": ["node", "<(module_root_dir)/scripts/build.mjs"]
        }
      ]
    }
  ]
}
