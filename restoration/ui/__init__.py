"""The page, the widget and the API: everything that knows Gradio."""
