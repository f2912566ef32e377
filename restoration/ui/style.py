"""How the page looks: a theme of our own with system fonts only (the page works offline), and the style sheet."""

from pathlib import Path

from gradio import themes

STYLE_SHEET = Path(__file__).with_name("style.css")
PICKER = Path(__file__).with_name("picker.js")
SANS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "Liberation Mono", "monospace"]


def head() -> str:
    """What the pages carry in their head: the script that lets HEIC files through the upload."""
    return f"<script>{PICKER.read_text(encoding='utf-8')}</script>"


def build_theme() -> themes.Base:
    """A calm theme: warm grays, one deep green, in a light and a dark version."""
    theme = themes.Base(
        primary_hue=themes.colors.teal,
        secondary_hue=themes.colors.teal,
        neutral_hue=themes.colors.stone,
        radius_size=themes.sizes.radius_lg,
        spacing_size=themes.sizes.spacing_md,
        text_size=themes.sizes.text_md,
        font=SANS,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="#f6f5f2",
        body_background_fill_dark="#141413",
        body_text_color="#26251f",
        body_text_color_dark="#e9e7e1",
        body_text_color_subdued="#6a675e",
        body_text_color_subdued_dark="#a09c90",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1d1d1b",
        background_fill_secondary="#faf9f7",
        background_fill_secondary_dark="#191917",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1d1d1b",
        block_border_width="1px",
        block_border_color="#e4e1d9",
        block_border_color_dark="#33322e",
        border_color_primary="#e4e1d9",
        border_color_primary_dark="#33322e",
        block_label_text_weight="500",
        block_title_text_weight="550",
        block_title_text_color="#3d3b34",
        block_title_text_color_dark="#d6d3ca",
        block_shadow="none",
        input_background_fill="#faf9f7",
        input_background_fill_dark="#232320",
        input_border_color="#d9d5cb",
        input_border_color_dark="#3d3b36",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#0d655e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#128a80",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_primary_border_color="#0f766e",
        button_primary_border_color_dark="#0f766e",
        button_cancel_background_fill="transparent",
        button_cancel_background_fill_dark="transparent",
        button_cancel_background_fill_hover="#b91c1c14",
        button_cancel_background_fill_hover_dark="#f8717122",
        button_cancel_text_color="#b42318",
        button_cancel_text_color_dark="#fca5a5",
        button_cancel_border_color="#d8a9a3",
        button_cancel_border_color_dark="#7f3a34",
        button_large_radius="10px",
        button_medium_radius="10px",
        button_large_text_weight="600",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
        color_accent="#0f766e",
        checkbox_background_color_selected="#0f766e",
        checkbox_background_color_selected_dark="#14b8a6",
        checkbox_border_color_selected="#0f766e",
        checkbox_border_color_selected_dark="#14b8a6",
        checkbox_border_color_focus="#0f766e",
        checkbox_label_background_fill="#faf9f7",
        checkbox_label_background_fill_dark="#232320",
        checkbox_label_background_fill_hover="#f1efe9",
        checkbox_label_background_fill_hover_dark="#2b2b27",
        checkbox_label_background_fill_selected="#e6f2f0",
        checkbox_label_background_fill_selected_dark="#15302d",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="#e4e1d9",
        checkbox_label_border_color_dark="#33322e",
        checkbox_label_text_color_selected="#0b4f4a",
        checkbox_label_text_color_selected_dark="#b6efe7",
        checkbox_label_padding="5px 12px",
        color_accent_soft="#e6f2f0",
        color_accent_soft_dark="#15302d",
    )
